package h1_test

// The house of ARCHITECTURE.md, checked: who may know whom, who may import
// what, and the acts that have one body each. A new root file gets a line in
// rootFiles, a new internal package one in internalPackages.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/h1go/h1"

// floor is a storey of the house. Uses go down: each floor knows itself and
// those below it. The two that face the user do not know each other.
type floor string

const (
	rules  floor = "rules"  // bytes and numbers in, decisions out
	conn   floor = "conn"   // one connection
	server floor = "server" // faces the user
	client floor = "client" // faces the user
)

var below = map[floor][]floor{
	rules:  {},
	conn:   {rules},
	server: {conn, rules},
	client: {conn, rules},
}

// rootFiles says on which floor each file of package h1 stands.
var rootFiles = map[string]floor{
	"parser.go":    rules,
	"target.go":    rules,
	"framing.go":   rules,
	"keepalive.go": rules,
	"learn.go":     rules,
	"limits.go":    rules,
	"pace.go":      rules,
	"pipeline.go":  rules,
	"reason.go":    rules,
	"retry.go":     rules,

	"ahead.go":       conn,
	"answer.go":      conn,
	"answer_head.go": conn,
	"ask.go":         conn,
	"coding.go":      conn,
	"context.go":     conn,
	"dispatch.go":    conn,
	"conn.go":        conn,
	"read.go":        conn,
	"receive.go":     conn,
	"write.go":       conn,
	"conn_client.go": conn,
	"tenure.go":      conn,
	"errors.go":      conn,
	"exchange.go":    conn,
	"header.go":      conn,
	"incoming.go":    conn,
	"info.go":        conn,
	"late.go":        conn,
	"linger.go":      conn,
	"listener.go":    conn,
	"settings.go":    conn,
	"slow.go":        conn,
	"copy.go":        conn,
	"deal.go":        conn,
	"park.go":        conn,
	"proof.go":       conn,
	"record.go":      conn,
	"sendfile.go":    conn,
	"shared.go":      conn,
	"watch.go":       conn,

	"drain.go":         conn,
	"response_body.go": conn,

	"alpn.go":            server,
	"behind_lb.go":       server,
	"listen.go":          server,
	"early.go":           server,
	"parallel.go":        server,
	"room.go":            server,
	"request.go":         server,
	"response_writer.go": server,
	"serve.go":           server,
	"server.go":          server,
	"server_context.go":  server,
	"shutdown.go":        server,
	"stats.go":           server,

	"cancel.go":    client,
	"blackhole.go": client,
	"choose.go":    client,
	"client.go":    client,
	"dials.go":     client,
	"evict.go":     client,
	"hosts.go":     client,
	"idle.go":      client,
	"lost.go":      client,
	"pipelined.go": client,
	"observe.go":   client,
	"pool.go":      client,
	"protocols.go": client,
	"proxy.go":     client,
	"roundtrip.go": client,
	"trace.go":     client,
}

// ruleKnows says which other rule files a rule file may use. None by default:
// each can be read alone.
var ruleKnows = map[string][]string{
	"target.go":    {"parser.go"},                           // takes a head apart
	"framing.go":   {"parser.go"},                           // judges a head
	"keepalive.go": {"limits.go", "parser.go", "reason.go"}, // picks defaults; reads what Connection lists; says why
	"limits.go":    {"pace.go", "parser.go"},                // names a head's limits, and the rates
	"pace.go":      {"limits.go"},                           // picks defaults
}

// ruleImports is all that a rule file may import: nothing that waits, reads,
// writes, locks or asks the time.
var ruleImports = []string{
	"bytes", "cmp", "errors", "fmt", "math", "math/bits", "slices", "strconv", "strings",
	modulePath + "/internal/fault", modulePath + "/internal/field", modulePath + "/internal/octet",
}

// ruleExtras are the exceptions, file by file, with the names that may be
// used of each package; nil means all of them.
var ruleExtras = map[string]map[string][]string{
	"keepalive.go": {
		"sync/atomic":                  nil, // the close intent is raised by any goroutine
		"time":                         spansOfTime,
		modulePath + "/internal/clock": {"Mono", "At"}, // times as one number, and back
	},
	"learn.go":  {"time": spansOfTime},
	"limits.go": {"time": spansOfTime},
	"pace.go":   {"time": spansOfTime},
}

// spansOfTime is package time without its clock.
var spansOfTime = []string{"Time", "Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}

// internalPackages says which packages outside the standard library each
// internal package may import. wiretest is for tests: no other package may
// import it, and it needs nothing of ours.
var internalPackages = map[string][]string{
	"buf":      {},
	"clock":    {},
	"fault":    {},
	"field":    {modulePath + "/internal/octet", modulePath + "/internal/fault"},
	"octet":    {modulePath + "/internal/fault"},
	"poll":     {"golang.org/x/sys/unix"},
	"reqctx":   {},
	"sockinfo": {"golang.org/x/sys/unix"},
	"wiretest": {"golang.org/x/sys/unix"},

	// Apart from wiretest, which poll's own tests use: a careful client looks
	// before it writes.
	"wiretest/load": {modulePath + "/internal/poll"},
}

// act is something that package h1 does in few places, for all to find.
type act struct {
	what  string
	in    []string // "file function"; each of them has to do it, nobody else may
	match func(h *house, n ast.Node) bool
}

var acts = []act{
	// After a hijack or a switch of protocols the connection is the
	// application's. A handshake that failed is answered in plain text, before
	// there is a Conn's output. What TLS reads and writes is followed on its way.
	{"reads from a net.Conn", []string{"read.go octets", "linger.go blockToDiscard", "record.go fill", "park.go tryRecords", "watch.go watchPeer", "proof.go Read", "receive.go switchOver", "response_writer.go hijackBuffers"},
		touchesConn("Read")},
	{"writes to a net.Conn", []string{"slow.go writeOn", "write.go put", "write.go gather", "record.go Write", "proof.go Write", "response_writer.go hijackBuffers", "receive.go copy", "serve.go handshake"},
		touchesConn("Write")},
	{"writes without waiting", []string{"write.go putOn"}, callsPackage("github.com/h1go/h1/internal/poll", "TryWrite")},
	{"sets a read deadline", []string{"read.go armRead", "read.go disarmRead", "read.go endRead", "linger.go blockToDiscard"}, touchesConn("SetReadDeadline")},
	{"sets a write deadline", []string{"slow.go setWriteDeadline"}, touchesConn("SetWriteDeadline")},
	{"sets both deadlines", []string{"conn.go takeOver"}, touchesConn("SetDeadline")},
	// open and verdict set both halves idle; offer changes no phase.
	{"changes the phase", []string{"keepalive.go on", "keepalive.go open", "keepalive.go offer", "keepalive.go verdict"},
		changesAtomic("machine", "state")},
	{"changes the close intent", []string{"keepalive.go raise"}, changesAtomic("machine", "intent")},
	{"asks for the time", nil, callsPackage("time", "Now", "Since", "Until")},
}

func TestEachRootFileHasItsFloor(t *testing.T) {
	for _, name := range sourceFiles(t, ".") {
		require.Contains(t, rootFiles, name, "add %s to rootFiles in layers_test.go", name)
	}
}

func TestRuleFilesDoNoIO(t *testing.T) {
	for _, name := range sourceFiles(t, ".") {
		if rootFiles[name] == rules {
			src, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Empty(t, ruleFaults(name, string(src)))
		}
	}
}

func TestUsesGoDownwards(t *testing.T) {
	require.Empty(t, loadRoot(t).upwardUses())
}

func TestActsHaveOneBody(t *testing.T) {
	h := loadRoot(t)
	for _, a := range acts {
		t.Run(a.what, func(t *testing.T) {
			require.ElementsMatch(t, a.in, h.doers(a), "left: where package h1 may do it; right: where it does")
		})
	}
}

func TestInternalPackagesAreLeaves(t *testing.T) {
	err := filepath.WalkDir("internal", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() == "testdata" {
			return err
		}
		for _, name := range sourceFiles(t, dir) {
			pkg := strings.TrimPrefix(filepath.ToSlash(dir), "internal/")
			allowed, known := internalPackages[pkg]
			require.True(t, known, "add internal/%s to internalPackages in layers_test.go", pkg)
			for _, path := range imports(t, filepath.Join(dir, name)) {
				if !isStandard(path) {
					require.Contains(t, allowed, path, "internal/%s/%s imports it", pkg, name)
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
}

func TestUnsafeAndTestHelpersStayInside(t *testing.T) {
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return err
		case dir != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || exists(filepath.Join(dir, "go.mod"))):
			return fs.SkipDir
		}
		for _, name := range sourceFiles(t, dir) {
			file := filepath.Join(dir, name)
			got := imports(t, file)
			require.NotContains(t, got, modulePath+"/internal/wiretest", "%s is no test", file)
			require.NotContains(t, got, modulePath+"/internal/wiretest/load", "%s is no test", file)
			if !strings.HasPrefix(filepath.ToSlash(file), "internal/") {
				require.NotContains(t, got, "unsafe", "%s is outside internal", file)
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// sourceFiles are the names of a folder's Go files, for all systems, tests
// left out.
func sourceFiles(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var names []string
	for _, p := range paths {
		if !strings.HasSuffix(p, "_test.go") {
			names = append(names, filepath.Base(p))
		}
	}
	return names
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	return importPaths(f)
}

func importPaths(f *ast.File) []string {
	var paths []string
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The checks themselves can fail: a small house with one fault of each kind.
func TestLayerChecksFindWhatTheyForbid(t *testing.T) {
	h := build(t, map[string]string{
		"parser.go": `package h1
			type head struct{ n int }
			func (h *head) parse() { flush(nil) }`,
		"pipeline.go": `package h1
			func look(h *head) int { return h.n }`,
		"conn.go": `package h1
			import ("io"; "net"; "sync/atomic"; "time")
			type machine struct{ intent atomic.Uint32 }
			func flush(nc net.Conn) { nc.Write(nil); io.Copy(nc, nil) }
			type wrapped struct{ io.Reader }
			func wraps(nc net.Conn) any { return wrapped{Reader: nc} }
			func copies(nc net.Conn) { io.Copy(io.Discard, nc) }
			func reads(nc *net.TCPConn) { nc.Read(nil) }
			func passes(nc net.Conn) { reads(nc.(*net.TCPConn)) }
			func raises(m *machine) { m.intent.Store(1) }
			func looks(m *machine) uint32 { return m.intent.Load() }
			func asks(t time.Time) { _ = time.Since(t); _ = t.Add(1) }`,
		"server.go": `package h1
			type Server struct{}
			func (*Server) serve() { flush(nil) }`,
		"client.go": `package h1
			func fetch(s *Server) { s.serve() }`,
	}, goList(t))

	want := []string{
		"client.go:2:18: client.go (client) uses Server of server.go (server)",
		"client.go:2:30: client.go (client) uses serve of server.go (server)",
		"parser.go:3:29: parser.go (rules) uses flush of conn.go (conn)",
		"pipeline.go:2:17: pipeline.go (rules) uses head of parser.go (rules)",
		"pipeline.go:2:38: pipeline.go (rules) uses n of parser.go (rules)",
	}
	require.Equal(t, want, h.upwardUses())

	require.ElementsMatch(t, []string{"conn.go copies", "conn.go reads", "conn.go wraps"}, h.doers(act{match: touchesConn("Read")}))
	require.Equal(t, []string{"conn.go flush"}, h.doers(act{match: touchesConn("Write")}))
	require.Equal(t, []string{"conn.go raises"}, h.doers(act{match: changesAtomic("machine", "intent")}))
	require.Equal(t, []string{"conn.go asks"}, h.doers(act{match: callsPackage("time", "Now", "Since")}))

	require.Equal(t, []string{"parser.go imports net"}, ruleFaults("parser.go", `package h1; import "net"`))
	require.Equal(t, []string{"a rule file uses time.Now"}, ruleFaults("keepalive.go",
		`package h1; import ("time"; "sync/atomic"); var at time.Time = time.Now(); var n atomic.Int32`))
	require.Empty(t, ruleFaults("framing.go", `package h1; import "strings"`))
}
