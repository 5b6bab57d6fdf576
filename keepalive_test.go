package h1

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/h1go/h1/internal/clock"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var updateGolden = flag.Bool("update", false, "write testdata/phases.golden anew")

// bornAt is when the connections of these tests are made.
// bornAt is by the clock that machines count with, so that what they tell compares.
var bornAt = clock.At(int64(time.Hour))

// steps runs a script on a machine: "c:head" is an event of the client half,
// "s:head" one of the server half, "offer" an offer, "last:shutdown" and
// "now:shutdown" a raise. It gives the step that was refused, "" for none.
func steps(t *testing.T, m *machine, script string) (refused string) {
	t.Helper()
	for word := range strings.FieldsSeq(script) {
		before, rest, _ := strings.Cut(word, ":")
		switch before {
		case "offer":
			m.offer()
		case "last":
			m.raise(levelLast, reasonNamed(t, rest))
		case "now":
			m.raise(levelNow, reasonNamed(t, rest))
		case "c", "s":
			h := clientHalf
			if before == "s" {
				h = serverHalf
			}
			state := m.state.Load()
			if !m.on(h, eventNamed(t, rest)) {
				require.Equal(t, state, m.state.Load(), "%s was refused and changed the state", word)
				return word
			}
		default:
			t.Fatalf("no such step: %s", word)
		}
	}
	return ""
}

func eventNamed(t *testing.T, name string) event {
	t.Helper()
	for e, n := range eventNames {
		if n == name {
			return event(e)
		}
	}
	t.Fatalf("no such event: %s", name)
	return 0
}

func reasonNamed(t *testing.T, name string) CloseReason {
	t.Helper()
	for r := range closeReasons {
		if r.String() == name {
			return r
		}
	}
	t.Fatalf("no such reason: %s", name)
	return 0
}

func opened() *machine {
	m := new(machine)
	m.open(bornAt)
	return m
}

func phasesOf(m *machine) string {
	return phaseNames[m.phase(clientHalf)] + "/" + phaseNames[m.phase(serverHalf)]
}

var verdictNames = map[verdict]string{verdictReuse: "reuse", verdictLinger: "linger", verdictClose: "close"}

// Each scenario is one connection's first exchange. refused is the step that
// is a fault; phases are where both halves stand after the script, client
// first, and verdict what becomes of the connection then.
func TestExchangesRunThroughTheirPhases(t *testing.T) {
	for _, c := range []struct {
		name, script, refused, phases, verdict string
	}{
		// In good order.
		{"a request and its answer", "c:head c:end s:head s:end", "", "done/done", "reuse"},
		{"bodies both ways", "c:head c:data c:data c:end s:head s:data s:end", "", "done/done", "reuse"},
		{"informational answers, then the final one", "c:head s:info c:data c:end s:info s:head s:end", "", "done/done", "reuse"},
		{"an early answer whose request ends later", "c:head s:head s:end c:data c:end", "", "done/done", "reuse"},
		{"an answer begun while the request is under way", "c:head c:data s:head c:data s:data c:end s:end", "", "done/done", "reuse"},
		{"nothing yet", "", "", "idle/idle", "close"},
		{"a request under way", "c:head c:data", "", "body/wait", "close"},
		{"an answer that is not whole", "c:head c:end s:head s:data", "", "done/body", "close"},

		// The answer is whole and the request is not.
		{"an early answer", "c:head s:head s:end", "", "body/done", "linger"},
		{"an early answer, and the last", "c:head last:undrained s:head s:end", "", "body/done", "linger"},
		{"an early answer to one who asked for close", "c:head last:peer_asked s:head s:end", "", "body/done", "linger"},

		// An answer that no request asked for.
		{"an unasked 408", "last:head_timeout s:head s:end", "", "idle/done", "linger"},
		{"an unasked 408 that nobody took for the last", "s:head s:end", "", "idle/done", "linger"},
		{"an unasked 1xx", "s:info", "s:info", "idle/idle", "close"},
		{"an unasked switch", "s:switch", "s:switch", "idle/idle", "close"},

		// The end of a stream.
		{"the client closes between exchanges", "c:eof", "", "closed/idle", "close"},
		{"the server closes between exchanges", "s:eof", "", "idle/closed", "close"},
		{"both close", "c:eof s:eof", "", "closed/closed", "close"},
		{"an end of stream told twice", "c:eof c:eof s:eof s:eof", "", "closed/closed", "close"},
		{"half-close: the answer still comes", "c:head c:end c:eof s:info s:head s:data s:end", "", "closed/done", "close"},
		{"the client closes when all is done", "c:head c:end s:head s:end c:eof", "", "closed/done", "close"},
		{"the server closes when all is done", "c:head c:end s:head s:end s:eof", "", "done/closed", "close"},
		{"a request after the client's end", "c:eof c:head", "c:head", "closed/idle", "close"},
		{"a request lost in its body", "c:head c:data c:eof", "c:eof", "body/wait", "close"},
		{"an answer lost in its body", "c:head c:end s:head s:data s:eof", "s:eof", "done/body", "close"},
		{"no answer at all", "c:head c:end s:eof", "s:eof", "done/wait", "close"},
		{"no answer after a 100", "c:head s:info s:eof", "s:eof", "body/wait", "close"},
		{"a body until close", "c:head c:end last:until_close s:head s:data s:end", "", "done/done", "linger"},

		// Another protocol.
		{"an upgrade is taken", "c:head offer c:end s:switch", "", "switched/switched", "close"},
		{"an upgrade waits for the server", "c:head offer c:end", "", "may-switch/wait", "close"},
		{"an upgrade is taken before the body's end", "c:head offer c:data s:switch", "", "body/switched", "close"},
		{"the body after the upgrade was taken", "c:head offer s:switch c:data c:end", "", "switched/switched", "close"},
		{"a 100 comes before a 101", "c:head offer s:info c:data c:end s:switch", "", "switched/switched", "close"},
		{"an upgrade is refused", "c:head offer c:end s:head s:end", "", "done/done", "reuse"},
		{"an upgrade is refused before the body's end", "c:head offer s:head c:data s:end c:end", "", "done/done", "reuse"},
		{"CONNECT is taken", "c:head offer c:end s:switch", "", "switched/switched", "close"},
		{"CONNECT is refused", "c:head offer c:end s:head s:data s:end", "", "done/done", "reuse"},
		{"the client gives up on its offer", "c:head offer c:end c:eof", "", "closed/wait", "close"},
		{"a switch that nobody offered", "c:head c:end s:switch", "s:switch", "done/wait", "close"},
		{"a switch that nobody offered, the request under way", "c:head s:switch", "s:switch", "body/wait", "close"},
		{"no octets of the new protocol before it is taken", "c:head offer c:end c:data", "c:data", "may-switch/wait", "close"},
		{"no HTTP request after a switch", "c:head offer c:end s:switch c:head", "c:head", "switched/switched", "close"},
		{"no HTTP answer after a switch", "c:head offer c:end s:switch s:head", "s:head", "switched/switched", "close"},
		{"no 1xx after a switch", "c:head offer c:end s:switch s:info", "s:info", "switched/switched", "close"},
		{"an offer that was refused cannot be taken", "c:head offer c:end s:head s:switch", "s:switch", "done/body", "close"},

		// Out of turn.
		{"a request that an unasked answer would answer", "s:head s:end c:head", "c:head", "idle/done", "linger"},
		{"a request in an unasked answer", "s:head c:head", "c:head", "idle/body", "close"},
		{"a second request head", "c:head c:end c:head", "c:head", "done/wait", "close"},
		{"a request head in a body", "c:head c:head", "c:head", "body/wait", "close"},
		{"a second final answer", "c:head c:end s:head s:end s:head", "s:head", "done/done", "reuse"},
		{"a final head in a body", "c:head c:end s:head s:head", "s:head", "done/body", "close"},
		{"a 1xx after the final head", "c:head c:end s:head s:info", "s:info", "done/body", "close"},
		{"an answer's body before its head", "c:head c:end s:data", "s:data", "done/wait", "close"},
		{"an answer's end before its head", "c:head c:end s:end", "s:end", "done/wait", "close"},
		{"data after a request's end", "c:head c:end c:data", "c:data", "done/wait", "close"},
		{"a request's end twice", "c:head c:end c:end", "c:end", "done/wait", "close"},
		{"data between exchanges", "c:data", "c:data", "idle/idle", "close"},
		{"an end between exchanges", "c:end", "c:end", "idle/idle", "close"},
		{"a client that informs", "c:info", "c:info", "idle/idle", "close"},
		{"a client that switches by itself", "c:head c:end c:switch", "c:switch", "done/wait", "close"},

		// Both messages whole, and somebody wishes to close.
		{"the peer asked for close", "c:head last:peer_asked c:end s:head s:end", "", "done/done", "close"},
		{"HTTP/1.0", "c:head last:http10 c:end s:head s:end", "", "done/done", "close"},
		{"the limit of requests", "last:max_requests c:head c:end s:head s:end", "", "done/done", "linger"},
		{"a wish that came before the peer's", "c:head last:local_asked last:peer_asked c:end s:head s:end", "", "done/done", "linger"},
		{"at once", "c:head c:end s:head s:end now:shutdown", "", "done/done", "close"},
		{"at once, the request under way", "c:head s:head s:end now:cancelled", "", "body/done", "close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := opened()
			require.Equal(t, c.refused, steps(t, m, c.script), "refused step")
			require.Equal(t, c.phases, phasesOf(m), "phases")
			require.Equal(t, c.verdict, verdictNames[m.verdict()], "verdict")
		})
	}
}

func TestReuseBeginsAnew(t *testing.T) {
	m := opened()
	for range 3 {
		require.Empty(t, steps(t, m, "c:head offer c:end s:info s:head s:end"))
		require.Equal(t, verdictReuse, m.verdict())
		require.Equal(t, "idle/idle", phasesOf(m))
	}
	// No offer is left over: a request that makes none does not wait for a switch.
	require.Empty(t, steps(t, m, "c:head c:end"))
	require.Equal(t, "done/wait", phasesOf(m))
}

func TestAVerdictOtherThanReuseLeavesThePhases(t *testing.T) {
	m := opened()
	require.Empty(t, steps(t, m, "c:head s:head s:end"))
	require.Equal(t, verdictLinger, m.verdict())
	require.Equal(t, "body/done", phasesOf(m))
	require.Equal(t, verdictLinger, m.verdict(), "asked again, it says the same")
}

// A word of the joint state holds each of them apart.
func TestJointStatesSurviveTheirWord(t *testing.T) {
	for client := range phases {
		for server := range phases {
			for _, offer := range []bool{false, true} {
				j := joint{client, server, offer}
				require.Equal(t, j, unpack(j.pack()))
			}
		}
	}
}

// sections are where each cell of the table comes from. A cell without a
// section, or a section without a cell, fails the test of the golden file.
var sections = map[half]map[phase]map[event]string{
	clientHalf: {
		phaseIdle:      {eventHead: "9112 2.1, 9.3", eventEOF: "9112 9.5"},
		phaseBody:      {eventData: "9112 6.3", eventEnd: "9112 6.3, 8"},
		phaseDone:      {eventEOF: "9112 9.6"},
		phaseMaySwitch: {eventEOF: "9110 7.8, 9112 9.6"},
		phaseClosed:    {eventEOF: "9112 9.6"},
	},
	serverHalf: {
		phaseIdle:   {eventHead: "9110 15.5.9", eventEOF: "9112 9.5"},
		phaseWait:   {eventHead: "9110 15, 9112 9.2", eventInfo: "9110 15.2", eventSwitch: "9110 7.8, 9.3.6, 15.2.2"},
		phaseBody:   {eventData: "9112 6.3", eventEnd: "9112 6.3, 8"},
		phaseDone:   {eventEOF: "9112 9.6"},
		phaseClosed: {eventEOF: "9112 9.6"},
	},
}

// The table is kept as text for people to hold against the RFCs, and so that
// no change of it goes by unseen: go test -run Golden -update writes it.
func TestPhaseTableIsTheGoldenOne(t *testing.T) {
	file := filepath.Join("testdata", "phases.golden")
	got := dumpTable(t)
	if *updateGolden {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Fatalf("the phase table changed (-golden +table); if that is meant, run with -update:\n%s", diff)
	}
}

func dumpTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("The phase table of keepalive.go. What is not listed is a fault.\n\n")
	fmt.Fprintf(&b, "%-7s %-10s %-7s    %-10s RFC, section\n", "half", "phase", "event", "phase")
	for h, name := range []string{"client", "server"} {
		for p := range phases {
			for e := range events {
				to, section := table[h][p][e], sections[half(h)][p][e]
				require.Equal(t, to != illegal, section != "", "%s %s %s: a cell and its section belong together", name, phaseNames[p], eventNames[e])
				if to != illegal {
					fmt.Fprintf(&b, "%-7s %-10s %-7s -> %-10s %s\n", name, phaseNames[p], eventNames[e], phaseNames[to], section)
				}
			}
		}
	}
	return b.String()
}

// jointStep is an event of a half, or an offer.
type jointStep struct {
	h     half
	e     event
	offer bool
}

// everyStep calls f for each joint state that can be reached and each step
// that is allowed there.
func everyStep(f func(from joint, s jointStep, to joint)) {
	start := joint{client: phaseIdle, server: phaseIdle}
	seen := map[joint]bool{start: true}
	for queue := []joint{start}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		visit := func(s jointStep, to joint) {
			f(from, s, to)
			if !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
		for h := range halves {
			for e := range events {
				to, ok := next(from, h, e)
				if !ok {
					continue
				}
				visit(jointStep{h: h, e: e}, to)
				if h == clientHalf && e == eventHead {
					to.offer = true
					visit(jointStep{offer: true}, to)
				}
			}
		}
	}
}

// In every state that can be reached, a step keeps to the table: it moves its
// own half as the table says, and a joint rule may only add what it is for.
func TestNoStepLeavesTheTable(t *testing.T) {
	n := 0
	everyStep(func(from joint, s jointStep, to joint) {
		n++
		if s.offer {
			return
		}
		note := fmt.Sprintf("%v %v %v", from, s, to)
		own, was, now := to.client, from.server, to.server
		told := table[s.h][from.client][s.e]
		if s.h == serverHalf {
			own, was, now = to.server, from.client, to.client
			told = table[s.h][from.server][s.e]
		}
		allowed := map[phase][]phase{
			phaseDone:      {phaseDone, phaseMaySwitch, phaseSwitched},
			phaseMaySwitch: {phaseMaySwitch, phaseDone, phaseSwitched},
			phaseIdle:      {phaseIdle, phaseWait},
		}
		for _, move := range [][2]phase{{told, own}, {was, now}} {
			if move[0] != move[1] {
				require.Contains(t, allowed[move[0]], move[1], note)
			}
		}
		require.NotEqual(t, illegal, to.client, note)
		require.NotEqual(t, illegal, to.server, note)
		if to.client == phaseSwitched {
			require.Equal(t, phaseSwitched, to.server, "%s: the client half switches with the server's word only", note)
		}
		if to.server == phaseSwitched {
			require.True(t, to.offer, "%s: a switch was offered", note)
		}
		if to.server == phaseWait {
			require.NotEqual(t, phaseIdle, to.client, "%s: an answer is owed to a request only", note)
		}
	})
	require.Greater(t, n, 20)
}

// FuzzMachine runs scripts of octets on one connection. Each is an event of a
// half, an offer, a raise or the end of an exchange.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 4, 6, 10, 15})
	f.Add([]byte{0, 12, 4, 8})
	f.Add([]byte{0, 13, 4, 6, 10, 15, 14})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := opened()
		level, reason := m.closing()
		for _, b := range script {
			word := m.state.Load()
			switch op := b % 16; {
			case op < 12:
				h, e := half(op/6), event(op%6)
				j, ok := next(unpack(word), h, e)
				require.Equal(t, ok, m.on(h, e))
				require.Equal(t, j, unpack(m.state.Load()), "a fault leaves the state, a step moves it")
			case op == 12:
				if m.phase(clientHalf) == phaseBody && m.phase(serverHalf) == phaseWait {
					m.offer()
				}
			case op == 13:
				m.raise(levelLast, CloseReason(1+b/16))
			case op == 14:
				m.raise(levelNow, CloseReason(1+b/16))
			default:
				client, server := m.phase(clientHalf), m.phase(serverHalf)
				if m.verdict() == verdictReuse {
					require.Equal(t, levelKeep, level, "reused after somebody wished to close")
					require.Equal(t, [2]phase{phaseDone, phaseDone}, [2]phase{client, server}, "reused in the middle")
					require.Equal(t, "idle/idle", phasesOf(m))
				} else {
					require.Equal(t, word, m.state.Load())
				}
			}
			l, r := m.closing()
			require.GreaterOrEqual(t, l, level, "the intent fell")
			if level > levelKeep {
				require.Equal(t, reason, r, "the first reason went lost")
			}
			level, reason = l, r
		}
	})
}

func TestIntentOnlyClimbs(t *testing.T) {
	m := opened()
	at, why := m.closing()
	require.Equal(t, levelKeep, at)
	require.Equal(t, CloseNone, why)

	for _, c := range []struct {
		level  level
		reason CloseReason
		climbs bool
		after  level
	}{
		{levelKeep, CloseShutdown, false, levelKeep},
		{levelNoMore, CloseMaxAge, true, levelNoMore},
		{levelNoMore, CloseShutdown, false, levelNoMore},
		{levelLast, ClosePeerAsked, true, levelLast},
		{levelLast, CloseShutdown, false, levelLast},
		{levelKeep, CloseShutdown, false, levelLast},
		{levelNow, CloseWriteFailed, true, levelNow},
		{levelNow, CloseHijacked, false, levelNow},
		{levelLast, CloseShutdown, false, levelNow},
	} {
		require.Equal(t, c.climbs, m.raise(c.level, c.reason))
		at, why = m.closing()
		require.Equal(t, c.after, at)
		if at > levelKeep {
			require.Equal(t, CloseMaxAge, why, "the first reason stays")
		}
	}
}

// Any goroutine may raise. Whoever looks on sees the intent climb, with one
// reason; each level is reached by exactly one raise.
func TestIntentNeverFallsUnderConcurrentRaise(t *testing.T) {
	const raisers = 8
	for range 200 {
		m := opened()
		var wg sync.WaitGroup
		var climbs [raisers]int
		start, done := make(chan struct{}), make(chan struct{})
		for i := range raisers {
			wg.Go(func() {
				<-start
				for _, l := range []level{levelNoMore, levelLast, levelNow} {
					if m.raise(l, CloseReason(i+1)) {
						climbs[i]++
					}
				}
			})
		}
		looked := make(chan error, 1)
		go func() {
			close(start)
			level, reason := m.closing()
			for {
				l, r := m.closing()
				if l < level || level > levelKeep && r != reason {
					looked <- fmt.Errorf("from %d %v to %d %v", level, reason, l, r)
					return
				}
				level, reason = l, r
				select {
				case <-done:
					looked <- nil
					return
				default:
				}
			}
		}()
		wg.Wait()
		close(done)
		require.NoError(t, <-looked)
		level, reason := m.closing()
		require.Equal(t, levelNow, level)
		require.NotEqual(t, CloseNone, reason)
		sum := 0
		for _, n := range climbs {
			sum += n
		}
		require.True(t, sum >= 1 && sum <= 3, "%d climbs", sum)
	}
}

// The upload and the answer move their halves from two goroutines. Were a
// step's write to overtake the other half's, one of them would find itself set
// back.
func TestTwoGoroutinesMoveOneHalfEach(t *testing.T) {
	const octets = 2000
	m := opened()
	times := func(n int, h half, e event) bool {
		for range n {
			if !m.on(h, e) {
				return false
			}
		}
		return true
	}
	for range 50 {
		require.True(t, m.on(clientHalf, eventHead))
		m.offer()
		var upload, answer bool
		var wg sync.WaitGroup
		wg.Go(func() { upload = times(octets, clientHalf, eventData) && m.on(clientHalf, eventEnd) })
		wg.Go(func() {
			answer = times(octets/2, serverHalf, eventInfo) && m.on(serverHalf, eventHead) &&
				times(octets/2, serverHalf, eventData) && m.on(serverHalf, eventEnd)
		})
		wg.Wait()
		require.True(t, upload)
		require.True(t, answer)
		require.Equal(t, "done/done", phasesOf(m), "no step went lost, and the offer is withdrawn")
		require.Equal(t, verdictReuse, m.verdict())
	}
}

func TestLimitsMakeAnExchangeTheLast(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy policy
		nth    int           // which exchange begins
		age    time.Duration // when it does
		level  level
		reason CloseReason
	}{
		{"no limit", policy{}, 1000, 1000 * time.Hour, levelKeep, CloseNone},
		{"before the limit of requests", policy{maxRequests: 3}, 2, 0, levelKeep, CloseNone},
		{"at the limit of requests", policy{maxRequests: 3}, 3, 0, levelNoMore, CloseMaxRequests},
		{"a limit of one", policy{maxRequests: 1}, 1, 0, levelNoMore, CloseMaxRequests},
		{"before the age", policy{maxAge: time.Hour}, 1, time.Hour - 1, levelKeep, CloseNone},
		{"at the age", policy{maxAge: time.Hour}, 1, time.Hour, levelNoMore, CloseMaxAge},
		{"both: requests come first", policy{maxRequests: 1, maxAge: time.Hour}, 1, time.Hour, levelNoMore, CloseMaxRequests},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := opened()
			for range c.nth - 1 {
				m.begin(bornAt, &c.policy)
			}
			m.begin(bornAt.Add(c.age), &c.policy)
			level, reason := m.closing()
			require.Equal(t, c.level, level)
			require.Equal(t, c.reason, reason)
			require.Equal(t, int64(c.nth), m.requests.Load())
		})
	}
}

// A client that pipelines begins exchanges before the first is answered. A
// limit that the last of them meets must not cost the answers to the others;
// the server's word does, since it closes after that answer (RFC 9112 section
// 9.6).
func TestALimitLetsPipelinedExchangesEnd(t *testing.T) {
	const whole = "c:head c:end s:head s:end"
	p := policy{maxRequests: 3}
	for _, c := range []struct {
		name     string
		closing  int // the answer that says close; 0: none does
		verdicts []verdict
	}{
		{"the limit", 0, []verdict{verdictReuse, verdictReuse, verdictLinger}},
		{"the server closes before it is met", 2, []verdict{verdictReuse, verdictLinger}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := opened()
			for range 3 {
				m.begin(bornAt, &p)
			}
			for i, want := range c.verdicts {
				require.Empty(t, steps(t, m, whole))
				if c.closing == i+1 {
					require.True(t, m.raise(levelLast, ClosePeerAsked))
				}
				require.Equal(t, want, m.verdict(), "exchange %d", i+1)
			}
			_, why := m.closing()
			require.Equal(t, CloseMaxRequests, why)
		})
	}
}

// The server counts from the answer that brought the hint; what is in line
// behind it counts too.
func TestAHintOfRequestsCountsThoseInLine(t *testing.T) {
	m, p := opened(), policy{}
	begin := func() level { m.begin(bornAt, &p); l, _ := m.closing(); return l }
	require.Equal(t, levelKeep, begin())
	require.Equal(t, levelKeep, begin())
	m.hint(-1, 3) // the answer to the first: three more, and one is in line
	require.Equal(t, levelKeep, begin())
	require.Equal(t, levelNoMore, begin(), "the fourth is the last it takes")
	for _, want := range []verdict{verdictReuse, verdictReuse, verdictReuse, verdictLinger} {
		require.Empty(t, steps(t, m, "c:head c:end s:head s:end"))
		require.Equal(t, want, m.verdict())
	}

	m = opened()
	for range 5 {
		m.begin(bornAt, &p)
	}
	m.hint(-1, 2) // more are in line than it will take
	l, why := m.closing()
	require.Equal(t, levelNoMore, l)
	require.Equal(t, ClosePeerHint, why)
}

func TestIdleConnectionsAreGivenUpAtTheEarliestLimit(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		name   string
		policy policy
		rested time.Duration // when it became idle, after its birth
		hint   int32         // the server's timeout, seconds
		until  time.Duration // after its birth; none: never
		why    CloseReason
	}{
		{"no limit", policy{}, 0, none, none, CloseNone},
		{"the idle timeout", policy{idle: time.Minute}, 0, none, time.Minute, CloseIdle},
		{"it counts from the last exchange", policy{idle: time.Minute}, time.Hour, none, time.Hour + time.Minute, CloseIdle},
		{"the age", policy{maxAge: time.Hour}, time.Minute, none, time.Hour, CloseMaxAge},
		{"the age comes before the idle timeout", policy{idle: time.Minute, maxAge: time.Hour}, 59*time.Minute + 30*time.Second, none, time.Hour, CloseMaxAge},
		{"an age that is over does not shorten patience", policy{maxAge: time.Hour, patience: time.Minute}, 59 * time.Minute, none, time.Hour, CloseMaxAge},
		{"nor does one that is over by then", policy{maxAge: time.Hour, patience: time.Minute}, 59*time.Minute + 30*time.Second, none, time.Hour + 30*time.Second, CloseMaxAge},
		{"patience for the idle timeout leaves it as it is", policy{idle: time.Minute, maxAge: time.Hour, patience: time.Minute}, 59*time.Minute + 30*time.Second, none, time.Hour + 30*time.Second, CloseIdle},
		{"the idle timeout comes before the age", policy{idle: time.Minute, maxAge: time.Hour}, 30 * time.Minute, none, 31 * time.Minute, CloseIdle},
		{"the server's hint, less a second", policy{idle: time.Minute}, 0, 5, 4 * time.Second, ClosePeerHint},
		{"the hint counts from the last exchange", policy{}, time.Hour, 5, time.Hour + 4*time.Second, ClosePeerHint},
		{"a hint beyond the idle timeout changes nothing", policy{idle: time.Minute}, 0, 600, time.Minute, CloseIdle},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := opened()
			m.hint(c.hint, -1)
			m.rest(bornAt.Add(c.rested))
			until, ok := m.idleUntil(&c.policy, nil)
			require.Equal(t, c.until != none, ok)
			if ok {
				require.Equal(t, bornAt.Add(c.until), until)
				require.Equal(t, c.why, m.whyIdle(until, &c.policy))
			}
			level, _ := m.closing()
			require.Equal(t, levelKeep, level, "idleness by itself is no intent")
		})
	}
}

// Connections that were made together do not end together.
func TestAgesAreSpread(t *testing.T) {
	p := policy{maxAge: 1000 * time.Second}
	const n = 100
	var ends [n]time.Duration
	for i := range ends {
		m := opened()
		m.ageCut = ageCut(uint64(123_456 + i))
		ends[i] = m.aged(&p).Sub(bornAt)
		m.begin(bornAt.Add(ends[i]-1), &p)
		level, _ := m.closing()
		require.Equal(t, levelKeep, level)
		m.begin(bornAt.Add(ends[i]), &p)
		_, reason := m.closing()
		require.Equal(t, CloseMaxAge, reason)
	}
	slices.Sort(ends[:])
	require.Greater(t, ends[0], 900*time.Second)
	require.LessOrEqual(t, ends[n-1], 1000*time.Second)
	for i := range ends[1:] {
		gap := ends[i+1] - ends[i]
		require.Greater(t, gap, 300*time.Millisecond, "evenly, it would be a second")
		require.Less(t, gap, 3*time.Second)
	}
}

// A request's first octet ends idleness, and being busy ends with the exchange.
func TestIdlenessEndsWithTheFirstOctet(t *testing.T) {
	m := opened()
	require.True(t, m.idle(), "until the first request")
	for _, at := range []time.Duration{0, time.Minute} {
		m.stir()
		require.False(t, m.idle())
		m.begin(bornAt.Add(at), &policy{})
		require.False(t, m.idle())
		m.rest(bornAt.Add(at))
		require.True(t, m.idle())
		require.Equal(t, bornAt.Add(at), m.idleSince())
	}
	m.stir()
	require.Equal(t, bornAt.Add(time.Minute), m.idleSince(), "it is still known")
}

func TestHintsAreNeverPromises(t *testing.T) {
	for _, c := range []struct {
		name         string
		timeout, max int32
		closes       bool
	}{
		{"none told", -1, -1, false},
		{"room for more", 5, 10, false},
		{"a timeout just over the margin", 2, -1, false},
		{"a timeout of no more than the margin", 1, -1, true},
		{"no timeout left", 0, -1, true},
		{"no request left", 5, 0, true},
		{"one request left", -1, 1, false},
		{"the largest numbers", 1<<31 - 1, 1<<31 - 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := opened()
			m.begin(bornAt, &policy{})
			m.hint(c.timeout, c.max)
			level, reason := m.closing()
			require.Equal(t, c.closes, level > levelKeep)
			require.Equal(t, c.closes, reason == ClosePeerHint)
			require.Less(t, level, levelNow, "the answer that brought the hint is still read")
		})
	}
}

// A later hint takes the place of an earlier one; an answer without hint
// leaves it.
func TestTheLatestHintCounts(t *testing.T) {
	m, p := opened(), policy{}
	for _, c := range []struct {
		hint int32
		want time.Duration
	}{{10, 9 * time.Second}, {-1, 9 * time.Second}, {5, 4 * time.Second}, {30, 29 * time.Second}} {
		m.hint(c.hint, -1)
		until, ok := m.idleUntil(&p, nil)
		require.True(t, ok)
		require.Equal(t, bornAt.Add(c.want), until)
	}
}

// RFC 9112 section 9.3, in its order.
func TestPersistenceFollowsVersionAndOptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		minor   uint8
		options connOptions
		want    CloseReason
	}{
		{"1.1", 1, 0, CloseNone},
		{"1.1, keep-alive", 1, optKeepAlive, CloseNone},
		{"1.1, close", 1, optClose, ClosePeerAsked},
		{"1.1, close wins over keep-alive", 1, optClose | optKeepAlive, ClosePeerAsked},
		{"1.1, other options", 1, optUpgrade | optTE | optOther, CloseNone},
		{"1.0", 0, 0, CloseHTTP10},
		{"1.0, keep-alive", 0, optKeepAlive, CloseNone},
		{"1.0, close", 0, optClose, ClosePeerAsked},
		{"1.0, close wins over keep-alive", 0, optClose | optKeepAlive, ClosePeerAsked},
		{"1.0, other options", 0, optUpgrade | optOther, CloseHTTP10},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, persists(c.minor, c.options)) })
	}
}

func TestKeepAliveResolves(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     KeepAlive
		client bool
		want   policy
	}{
		{"a server's defaults", KeepAlive{}, false, policy{maxRequests: 100_000, maxAge: time.Hour, idle: 75 * time.Second, tell: 70 * time.Second, patience: 75 * time.Second, minIdle: 500 * time.Millisecond}},
		{"a client's defaults", KeepAlive{}, true, policy{maxRequests: 100_000, maxAge: time.Hour, idle: 60 * time.Second, tell: 56 * time.Second}},
		{"all given", KeepAlive{MaxRequests: 7, MaxAge: time.Minute, IdleTimeout: time.Second, MinIdle: 2 * time.Second, Advertise: true, AdvertiseTimeout: 3 * time.Second}, false,
			policy{maxRequests: 7, maxAge: time.Minute, idle: time.Second, advertise: true, tell: 3 * time.Second, patience: time.Second, minIdle: 2 * time.Second}},
		{"a short idle timeout tells a whole second less", KeepAlive{IdleTimeout: 10 * time.Second}, false,
			policy{maxRequests: 100_000, maxAge: time.Hour, idle: 10 * time.Second, tell: 9 * time.Second, patience: 10 * time.Second, minIdle: 500 * time.Millisecond}},
		{"no limit of requests", KeepAlive{MaxRequests: -1}, false, policy{maxAge: time.Hour, idle: 75 * time.Second, tell: 70 * time.Second, patience: 75 * time.Second, minIdle: 500 * time.Millisecond}},
		{"no age", KeepAlive{MaxAge: -1}, false, policy{maxRequests: 100_000, idle: 75 * time.Second, tell: 70 * time.Second, patience: 75 * time.Second, minIdle: 500 * time.Millisecond}},
		{"no idle timeout leaves none to tell", KeepAlive{IdleTimeout: -1}, false, policy{maxRequests: 100_000, maxAge: time.Hour, patience: 75 * time.Second, minIdle: 500 * time.Millisecond}},
		{"what is told is waited for", KeepAlive{IdleTimeout: -1, AdvertiseTimeout: 2 * time.Minute}, false,
			policy{maxRequests: 100_000, maxAge: time.Hour, tell: 2 * time.Minute, patience: 121 * time.Second, minIdle: 500 * time.Millisecond}},
		{"no timeout told", KeepAlive{AdvertiseTimeout: -1}, false, policy{maxRequests: 100_000, maxAge: time.Hour, idle: 75 * time.Second, patience: 75 * time.Second, minIdle: 500 * time.Millisecond}},
		{"no least time", KeepAlive{MinIdle: -1}, false, policy{maxRequests: 100_000, maxAge: time.Hour, idle: 75 * time.Second, tell: 70 * time.Second, patience: 75 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.in.resolve(c.client), cmp.AllowUnexported(policy{})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestKeepAliveFieldCountsDown(t *testing.T) {
	m, p := opened(), KeepAlive{MaxRequests: 3, IdleTimeout: 75 * time.Second, Advertise: true}.resolve(false)
	for _, want := range []string{"timeout=70, max=2", "timeout=70, max=1", "timeout=70, max=0"} {
		m.begin(bornAt, &p)
		require.Equal(t, "x"+want, string(appendKeepAlive([]byte("x"), m, &p)))
	}
	m.begin(bornAt, &p) // a client may pipeline one more: the count stops at zero
	require.Equal(t, "timeout=70, max=0", string(appendKeepAlive(nil, m, &p)))
}

func TestKeepAliveFieldLeavesOutWhatHasNoLimit(t *testing.T) {
	for _, c := range []struct {
		name string
		in   KeepAlive
		want string
		says bool
	}{
		{"not asked for", KeepAlive{}, "timeout=70, max=99999", false},
		{"both", KeepAlive{Advertise: true}, "timeout=70, max=99999", true},
		{"no limit of requests", KeepAlive{Advertise: true, MaxRequests: -1}, "timeout=70", true},
		{"no idle timeout", KeepAlive{Advertise: true, IdleTimeout: -1}, "max=99999", true},
		{"an idle timeout under a second", KeepAlive{Advertise: true, IdleTimeout: 500 * time.Millisecond}, "max=99999", true},
		{"timeout not told", KeepAlive{Advertise: true, AdvertiseTimeout: -1}, "max=99999", true},
		{"a part of a second is cut off", KeepAlive{Advertise: true, AdvertiseTimeout: 2900 * time.Millisecond}, "timeout=2, max=99999", true},
		{"nothing to say", KeepAlive{Advertise: true, MaxRequests: -1, IdleTimeout: -1}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, p := opened(), c.in.resolve(false)
			m.begin(bornAt, &p)
			require.Equal(t, c.want, string(appendKeepAlive(nil, m, &p)))
			require.Equal(t, c.says, p.advertises())
		})
	}
}

// What one end of h1 advertises, the other heeds: the client gives up before
// the server does.
func TestAClientGivesUpBeforeTheServerItHeeds(t *testing.T) {
	for _, idle := range []time.Duration{2, 3, 5, 15, 60, 75, 300, 3600} {
		server, client := opened(), opened()
		ps := KeepAlive{IdleTimeout: idle * time.Second, Advertise: true, MaxAge: time.Minute}.resolve(false)
		server.rest(bornAt.Add(59 * time.Second)) // its age will be over while it is idle
		client.rest(bornAt.Add(59 * time.Second))
		pc := KeepAlive{IdleTimeout: -1, MaxAge: -1}.resolve(true)
		client.hint(int32(ps.tell/time.Second), -1)
		ends, ok := server.idleUntil(&ps, nil)
		require.True(t, ok)
		if level, _ := client.closing(); level > levelKeep {
			continue // no headroom: it is not used again at all
		}
		gives, ok := client.idleUntil(&pc, nil)
		require.True(t, ok)
		require.GreaterOrEqual(t, ends.Sub(gives), time.Second, "idle timeout %d s", idle)
	}
}

// Logs and metrics keep a reason's name: each has one of its own, and words.
func TestEachCloseReasonHasNameAndWords(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[string]CloseReason{}
	for r := range closeReasons {
		require.Regexp(t, shape, r.String())
		require.NotEmpty(t, r.Explain(), r.String())
		other, taken := seen[r.String()]
		require.False(t, taken, "%d and %d are both %s", r, other, r)
		seen[r.String()] = r
	}
	require.Equal(t, "reason_255", CloseReason(255).String())
	require.Equal(t, "reason_255", CloseReason(255).Explain())
}

func TestTheMachineAllocatesNothing(t *testing.T) {
	m, p := opened(), KeepAlive{Advertise: true}.resolve(false)
	buf := make([]byte, 0, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.begin(bornAt, &p)
		m.on(clientHalf, eventHead)
		m.offer()
		m.on(clientHalf, eventEnd)
		m.on(serverHalf, eventHead)
		m.hint(10, 5)
		buf = appendKeepAlive(buf[:0], m, &p)
		m.on(serverHalf, eventEnd)
		m.verdict()
		m.rest(bornAt)
		m.idleUntil(&p, nil)
	}))
}

func BenchmarkMachineExchange(b *testing.B) {
	m, p := opened(), KeepAlive{MaxRequests: -1}.resolve(false)
	b.ReportAllocs()
	for b.Loop() {
		m.begin(bornAt, &p)
		m.on(clientHalf, eventHead)
		m.on(clientHalf, eventEnd)
		m.on(serverHalf, eventHead)
		m.on(serverHalf, eventEnd)
		if m.verdict() != verdictReuse {
			b.Fatal("not reused")
		}
	}
}

func BenchmarkMachineOn(b *testing.B) {
	m := opened()
	m.on(clientHalf, eventHead)
	b.ReportAllocs()
	for b.Loop() {
		m.on(clientHalf, eventData)
	}
}
