package h1_test

// How layers_test.go reads package h1: its files parsed and, with the export
// data of what they import, typed.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// ruleFaults returns what a rule file imports or uses and may not.
func ruleFaults(name, src string) []string {
	f, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	for _, path := range importPaths(f) {
		extra, ok := ruleExtras[name][path]
		switch {
		case slices.Contains(ruleImports, path):
		case !ok:
			faults = append(faults, name+" imports "+path)
		case extra != nil:
			faults = append(faults, otherNames(f, path, extra)...)
		}
	}
	return faults
}

// otherNames returns the uses of a package's names that are not in allowed.
func otherNames(f *ast.File, path string, allowed []string) []string {
	var faults []string
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == path && !slices.Contains(allowed, sel.Sel.Name) {
			faults = append(faults, "a rule file uses "+path+"."+sel.Sel.Name)
		}
		return true
	})
	return faults
}

// house is package h1 with its types.
type house struct {
	fset  *token.FileSet
	files map[string]*ast.File
	info  *types.Info
	pkg   *types.Package

	netConn, reader, writer *types.Interface
}

// loadRoot reads the root package's files for this system.
func loadRoot(t *testing.T) *house {
	t.Helper()
	sources := make(map[string]string)
	list := goList(t)
	for _, name := range list.root.GoFiles {
		src, err := os.ReadFile(name)
		require.NoError(t, err)
		sources[name] = string(src)
	}
	return build(t, sources, list)
}

// build type-checks sources as package h1.
func build(t *testing.T, sources map[string]string, list listing) *house {
	t.Helper()
	h := &house{
		fset:  token.NewFileSet(),
		files: make(map[string]*ast.File),
		info: &types.Info{
			Uses:       make(map[*ast.Ident]types.Object),
			Selections: make(map[*ast.SelectorExpr]*types.Selection),
			Types:      make(map[ast.Expr]types.TypeAndValue),
		},
	}
	var files []*ast.File
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		f, err := parser.ParseFile(h.fset, name, sources[name], 0)
		require.NoError(t, err)
		h.files[name] = f
		files = append(files, f)
	}
	imp := importer.ForCompiler(h.fset, "gc", list.open)
	var err error
	h.pkg, err = (&types.Config{Importer: imp}).Check(modulePath, h.fset, files, h.info)
	require.NoError(t, err)

	iface := func(path, name string) *types.Interface {
		p, err := imp.Import(path)
		require.NoError(t, err)
		return p.Scope().Lookup(name).Type().Underlying().(*types.Interface)
	}
	h.netConn, h.reader, h.writer = iface("net", "Conn"), iface("io", "Reader"), iface("io", "Writer")
	return h
}

// listing is what the go command knows of the root package and all that it
// imports.
type listing struct {
	root   listed
	export map[string]string // import path to file of export data
}

type listed struct {
	ImportPath, Export string
	GoFiles            []string
}

func goList(t *testing.T) listing {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,GoFiles", ".", "net", "io")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	list := listing{export: make(map[string]string)}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return list
		} else {
			require.NoError(t, err)
		}
		list.export[p.ImportPath] = p.Export
		if p.ImportPath == modulePath {
			list.root = p
		}
	}
}

func (l listing) open(path string) (io.ReadCloser, error) {
	if file := l.export[path]; file != "" {
		return os.Open(file)
	}
	return nil, fmt.Errorf("no export data for %s", path)
}

// fileOf is the name of the file that holds pos.
func (h *house) fileOf(pos token.Pos) string {
	return filepath.Base(h.fset.Position(pos).Filename)
}

// upwardUses returns each use of a name of package h1 in a file that may not
// know the file where it is declared.
func (h *house) upwardUses() []string {
	var faults []string
	for ident, object := range h.info.Uses {
		if object.Pkg() != h.pkg || !object.Pos().IsValid() {
			continue
		}
		user, owner := h.fileOf(ident.Pos()), h.fileOf(object.Pos())
		if !mayKnow(user, owner) {
			faults = append(faults, fmt.Sprintf("%s: %s (%s) uses %s of %s (%s)",
				h.fset.Position(ident.Pos()), user, rootFiles[user], ident.Name, owner, rootFiles[owner]))
		}
	}
	slices.Sort(faults)
	return faults
}

func mayKnow(user, owner string) bool {
	from, to := rootFiles[user], rootFiles[owner]
	switch {
	case user == owner:
		return true
	case from == rules:
		return to == rules && slices.Contains(ruleKnows[user], owner)
	}
	return from == to || slices.Contains(below[from], to)
}

// doers returns the functions that do the act, as "file function".
func (h *house) doers(a act) []string {
	var found []string
	for name, f := range h.files {
		for _, decl := range f.Decls {
			where := name + " package level"
			if fn, ok := decl.(*ast.FuncDecl); ok {
				where = name + " " + fn.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if n != nil && a.match(h, n) && !slices.Contains(found, where) {
					found = append(found, where)
				}
				return true
			})
		}
	}
	return found
}

// touchesConn matches a call of the method on a connection that is not one of
// ours. A connection handed on as an io.Reader or io.Writer counts as read or
// written there.
func touchesConn(method string) func(*house, ast.Node) bool {
	return func(h *house, n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == method && h.isForeignConn(sel.X) {
				return true
			}
			return h.handsOver(n, method)
		case *ast.KeyValueExpr:
			key, ok := n.Key.(*ast.Ident)
			if !ok || h.info.Uses[key] == nil {
				return false
			}
			return h.weakens(n.Value, h.info.Uses[key].Type(), method)
		}
		return false
	}
}

// handsOver tells whether a call passes a connection as less than one.
func (h *house) handsOver(call *ast.CallExpr, method string) bool {
	sig, ok := h.info.Types[call.Fun].Type.(*types.Signature)
	if !ok {
		return false
	}
	for i, arg := range call.Args {
		if i < sig.Params().Len() && h.weakens(arg, sig.Params().At(i).Type(), method) {
			return true
		}
	}
	return false
}

// weakens tells whether a connection becomes a value of an interface that has
// the method Read or Write, but is no net.Conn.
func (h *house) weakens(x ast.Expr, to types.Type, method string) bool {
	as := map[string]*types.Interface{"Read": h.reader, "Write": h.writer}[method]
	return as != nil && h.isForeignConn(x) && types.IsInterface(to) &&
		types.Implements(to, as) && !types.Implements(to, h.netConn)
}

// isForeignConn tells whether the expression is a net.Conn of a type that
// package h1 did not declare.
func (h *house) isForeignConn(x ast.Expr) bool {
	typ := h.info.Types[x].Type
	if typ == nil || !types.Implements(typ, h.netConn) {
		return false
	}
	if p, ok := typ.(*types.Pointer); ok {
		typ = p.Elem()
	}
	named, ok := typ.(*types.Named)
	return !ok || named.Obj().Pkg() != h.pkg
}

// changesAtomic matches a call that changes an atomic field of one of our
// structures.
func changesAtomic(structure, field string) func(*house, ast.Node) bool {
	changes := []string{"Store", "Swap", "CompareAndSwap", "Add", "And", "Or"}
	return func(h *house, n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(changes, method.Sel.Name) {
			return false
		}
		x, ok := method.X.(*ast.SelectorExpr)
		if !ok || h.info.Selections[x] == nil {
			return false
		}
		typ := h.info.Selections[x].Recv()
		if p, ok := typ.(*types.Pointer); ok {
			typ = p.Elem()
		}
		named, ok := typ.(*types.Named)
		return ok && named.Obj().Name() == structure && x.Sel.Name == field
	}
}

// callsPackage matches a call of a package's function.
func callsPackage(path string, names ...string) func(*house, ast.Node) bool {
	return func(h *house, n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(names, sel.Sel.Name) {
			return false
		}
		f, ok := h.info.Uses[sel.Sel].(*types.Func)
		return ok && f.Pkg() != nil && f.Pkg().Path() == path && f.Signature().Recv() == nil
	}
}
