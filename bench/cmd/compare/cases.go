package main

// task is what a server is asked to do.
type task string

const (
	taskSmall task = "small" // GET answered with 13 bytes
	taskLarge task = "large" // GET answered with 64 KiB
	taskEcho  task = "echo"  // POST answered with its own body
)

// work is a task with the size of the body that each request brings.
type work struct {
	task task
	body int
}

func (w work) method() string {
	if w.task == taskEcho {
		return "POST"
	}
	return "GET"
}

// serverCase is one table of servers.
type serverCase struct {
	name, title string
	conns       int
	depth       int // requests written at once, before the first answer is read
	work        work
}

var serverCases = []serverCase{
	{"get-1", "GET of 13 bytes, 1 connection", 1, 1, work{taskSmall, 0}},
	{"get-64", "GET of 13 bytes, 64 connections", 64, 1, work{taskSmall, 0}},
	{"get-1000", "GET of 13 bytes, 1,000 connections", 1000, 1, work{taskSmall, 0}},
	{"get-10000", "GET of 13 bytes, 10,000 connections", 10000, 1, work{taskSmall, 0}},
	{"pipe-1", "GET of 13 bytes, 1 connection, 16 requests at once", 1, 16, work{taskSmall, 0}},
	{"pipe-64", "GET of 13 bytes, 64 connections, 16 requests at once", 64, 16, work{taskSmall, 0}},
	{"get64k-64", "GET of 64 KiB, 64 connections", 64, 1, work{taskLarge, 0}},
	{"post1k-64", "POST of 1 KiB and its echo, 64 connections", 64, 1, work{taskEcho, 1 << 10}},
	{"post1m-64", "POST of 1 MiB and its echo, 64 connections", 64, 1, work{taskEcho, 1 << 20}},
}

// clientCase is one table of clients, all against the same canned server.
type clientCase struct {
	name, title string
	goroutines  int
	pipelined   bool // all goroutines on one connection; the floor keeps one connection for each request under way
}

var clientCases = []clientCase{
	{"client-1", "clients, GET of 13 bytes, 1 goroutine", 1, false},
	{"client-64", "clients, GET of 13 bytes, 64 goroutines", 64, false},
	{"client-pipe-64", "clients, GET of 13 bytes, 64 goroutines pipelining on one connection", 64, true},
}

// idleCase is one table of memory.
type idleCase struct {
	name, title string
	tls         bool
}

var idleCases = []idleCase{
	{"idle-plain", "resident bytes for each idle connection, plain", false},
	{"idle-tls", "resident bytes for each idle connection, TLS", true},
}

const parseTitle = "request heads of 703 bytes through the parsers"

// quickCases are those of -quick.
const quickCases = "get-1,get-64,get-1000,pipe-64,get64k-64,post1k-64,client-64,idle-plain,parse"
