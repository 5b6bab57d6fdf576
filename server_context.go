package h1

// This file is what a request's context tells of its server.

import (
	"context"
	"log"
	"log/slog"
	"net/http"
)

// ServerContextKey is the key under which a request's context holds its
// *Server, as http.ServerContextKey does for net/http's.
//
// Under http.ServerContextKey there is an *http.Server with the same Addr,
// Handler, TLSConfig, timeouts and ErrorLog, which leads to Logger where that is
// all there is, for handlers that look there: httputil.ReverseProxy breaks a
// connection off where its answer broke off only if it finds one. It serves nothing, and its methods have no effect on the
// Server.
var ServerContextKey = &contextKey{"h1-server"}

type contextKey struct{ name string }

// String gives the key's name.
func (k *contextKey) String() string { return "h1 context value " + k.name }

// rootContext is what all requests' contexts descend from.
func (s *Server) rootContext(base context.Context) context.Context {
	standIn := &http.Server{
		Addr:                         s.Addr,
		Handler:                      s.Handler,
		DisableGeneralOptionsHandler: s.DisableGeneralOptionsHandler,
		TLSConfig:                    s.TLSConfig,
		ReadTimeout:                  s.ReadTimeout,
		ReadHeaderTimeout:            s.ReadHeaderTimeout,
		WriteTimeout:                 s.WriteTimeout,
		IdleTimeout:                  s.IdleTimeout,
		MaxHeaderBytes:               s.MaxHeaderBytes,
		ErrorLog:                     s.errorLog(),
	}
	return context.WithValue(context.WithValue(base, http.ServerContextKey, standIn), ServerContextKey, s)
}

// errorLog is where net/http's own handlers find the log: the files' server tells
// of directories that it cannot read, say.
func (s *Server) errorLog() *log.Logger {
	if s.ErrorLog == nil && s.Logger != nil {
		return slog.NewLogLogger(s.Logger.Handler(), slog.LevelError)
	}
	return s.ErrorLog
}
