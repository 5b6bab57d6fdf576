// Package reqctx gives an http.Request its context without copying the request.
//
// net/http has one way to do so, Request.WithContext, which copies the whole
// request into new memory. A server makes every request itself, so that the
// copy serves nobody.
package reqctx

import (
	"context"
	"net/http"
	"reflect"
	"unsafe"
)

// offset is where http.Request keeps its context; ok tells whether this version
// of net/http has such a field. It is looked up and not assumed: the field's
// name and type have to be as expected, otherwise Set copies twice.
var offset, ok = func() (uintptr, bool) {
	f, found := reflect.TypeFor[http.Request]().FieldByName("ctx")
	return f.Offset, found && f.Type == reflect.TypeFor[context.Context]()
}()

// Set gives r, which nobody else has seen yet, the context ctx.
func Set(r *http.Request, ctx context.Context) {
	if !ok {
		*r = *r.WithContext(ctx)
		return
	}
	// Invariant: offset is that of a field of type context.Context in
	// http.Request, so the pointer is into r, aligned, and of the field's type.
	*(*context.Context)(unsafe.Add(unsafe.Pointer(r), offset)) = ctx
}
