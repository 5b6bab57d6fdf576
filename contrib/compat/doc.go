// Package compat runs what was written for net/http on h1, unchanged:
// frameworks, proxies, WebSocket libraries, instrumentation and clients. It has
// tests only, in a module of its own so that h1 does not depend on any of it.
package compat
