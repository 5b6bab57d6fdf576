package h1

// The rule by itself, and then over long simulated times: servers that close at
// every common age, that jitter, and that change their minds.

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	us  = time.Microsecond
	ms  = time.Millisecond
	sec = time.Second
)

func TestNothingIsNearALimitThatIsNotKnown(t *testing.T) {
	var l idleLimit
	for _, age := range []time.Duration{0, ms, sec, time.Hour} {
		require.Equal(t, beforeLimit, l.stands(age, 0))
	}
	require.Zero(t, l.fence(0))
}

func TestAgesAreExploredUntilTheLimitIsKnown(t *testing.T) {
	var l idleLimit
	require.False(t, l.unexplored(leastLimit), "no server closes so soon")
	require.True(t, l.unexplored(16*sec))
	l.outlived(16*sec, 0, time.Time{})
	require.False(t, l.unexplored(sec))
	require.False(t, l.unexplored(16*sec))
	require.True(t, l.unexplored(16*sec+1))
	l.closed(60*sec, 0, time.Time{})
	require.False(t, l.unexplored(59*sec), "the limit says what is dangerous")
}

func TestAStretchAroundTheLimitIsDangerous(t *testing.T) {
	tests := []struct {
		limit, rtt       time.Duration
		from, to, beyond time.Duration // the first and the last that is near, and the last before it is past
	}{
		{limit: 100 * ms, from: 91750 * us, to: 108250 * us, beyond: 208250 * us},
		{limit: 5 * sec, from: 4685500 * us, to: 5314500 * us, beyond: 10314500 * us},
		{limit: 75 * sec, rtt: 300 * ms, from: 69710500 * us, to: 80289500 * us, beyond: 155289500 * us},
		{limit: ms, from: 0, to: 3062500, beyond: 4062500}, // a server that closes without a word after each answer
	}
	for _, tt := range tests {
		var l idleLimit
		l.closed(tt.limit, tt.rtt, time.Time{})
		require.Equal(t, tt.from, l.fence(tt.rtt))
		require.Equal(t, nearLimit, l.stands(tt.from, tt.rtt))
		require.Equal(t, nearLimit, l.stands(tt.to, tt.rtt))
		require.Equal(t, beyondLimit, l.stands(tt.to+1, tt.rtt))
		require.Equal(t, beyondLimit, l.stands(tt.beyond, tt.rtt))
		require.Equal(t, pastLimit, l.stands(tt.beyond+1, tt.rtt))
		if tt.from > 0 {
			require.Equal(t, beforeLimit, l.stands(tt.from-1, tt.rtt))
		}
	}
}

func TestWhatALimitBecomes(t *testing.T) {
	type step struct {
		closed, outlived time.Duration
		want             time.Duration
	}
	tests := map[string][]step{
		"the least age counts":                      {{closed: 5100 * ms, want: 5100 * ms}, {closed: 5 * sec, want: 5 * sec}, {closed: 5050 * ms, want: 5 * sec}},
		"a lower one replaces it at once":           {{closed: 75 * sec, want: 75 * sec}, {closed: 5 * sec, want: 5 * sec}},
		"three that live on refute it":              {{closed: sec, want: sec}, {outlived: 2 * sec, want: sec}, {outlived: 3 * sec, want: sec}, {outlived: 9 * sec}},
		"those that lived on for less do not":       {{closed: sec, want: sec}, {outlived: 500 * ms, want: sec}, {outlived: 900 * ms, want: sec}, {outlived: sec, want: sec}},
		"three that end later move it":              {{closed: sec, want: sec}, {closed: 62 * sec, want: sec}, {closed: 60 * sec, want: sec}, {closed: 61 * sec, want: 60 * sec}},
		"what confirms it ends all doubt":           {{closed: sec, want: sec}, {closed: 60 * sec, want: sec}, {closed: 60 * sec, want: sec}, {closed: sec, want: sec}, {closed: 60 * sec, want: sec}, {closed: 60 * sec, want: sec}},
		"ends past it are kept when it is given up": {{closed: sec, want: sec}, {outlived: 70 * sec, want: sec}, {closed: 75 * sec, want: sec}, {outlived: 20 * sec, want: 75 * sec}},
		"an age of zero is an age":                  {{closed: 0, want: 0}, {outlived: sec}, {outlived: sec}, {outlived: sec}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var l idleLimit
			for i, s := range steps {
				now := time.Unix(int64(i)*100, 0)
				if s.outlived > 0 {
					l.outlived(s.outlived, 0, now)
				} else {
					l.closed(s.closed, 0, now)
				}
				require.Equal(t, s.want, l.age.Truncate(time.Microsecond), "step %d", i)
			}
		})
	}
}

// A machine that stands still makes many connections late at once.
func TestDoubtsAtOneTimeAreOne(t *testing.T) {
	var l idleLimit
	at := time.Unix(1, 0)
	l.closed(sec, 0, at)
	for range 10 {
		l.closed(1500*ms, 0, at)
		l.outlived(1500*ms, 0, at.Add(999*ms))
	}
	require.Equal(t, sec, l.age)
	l.outlived(2*sec, 0, at.Add(1*sec))
	require.Equal(t, sec, l.age)
	l.outlived(2*sec, 0, at.Add(2*sec))
	require.Equal(t, 1500*ms, l.age)
}

// simulation is a server that keeps connections idle for some time, and a client
// that sends a request now and then.
type simulation struct {
	limit func(at time.Duration) time.Duration // drawn for each idle period
	gap   func() time.Duration
	rtt   time.Duration
	learn bool

	known idleLimit
	idle  []idleConn // the newest last
	now   time.Duration

	requests, dials, lost, lostLate int
}

type idleConn struct {
	since time.Duration // as the client sees it
	ends  time.Duration // when the server's FIN arrives
}

// ended takes out the connections whose end has arrived, as the poller tells.
func (s *simulation) ended() {
	kept := s.idle[:0]
	for _, c := range s.idle {
		if c.ends > s.now {
			kept = append(kept, c)
			continue
		}
		s.known.closed(c.ends-c.since, s.rtt, time.Unix(0, int64(s.now)))
	}
	s.idle = kept
}

// ask sends one request: on the newest connection that may be used, or on a new
// one.
func (s *simulation) ask() {
	s.ended()
	s.requests++
	at := -1
	for i := len(s.idle) - 1; i >= 0 && at < 0; i-- {
		switch s.known.stands(s.now-s.idle[i].since, s.rtt) {
		case beforeLimit, pastLimit:
			at = i
		default:
			if !s.learn {
				at = i
			}
		}
	}
	if at >= 0 {
		c := s.idle[at]
		age := s.now - c.since
		s.idle = append(s.idle[:at], s.idle[at+1:]...)
		if c.ends > s.now+s.rtt { // the FIN left after the request came
			s.known.outlived(age, s.rtt, time.Unix(0, int64(s.now)))
		} else {
			s.lost++
			if s.requests > 100 {
				s.lostLate++
			}
			s.known.closed(age, s.rtt, time.Unix(0, int64(s.now)))
			s.dials++
		}
	} else {
		s.dials++
	}
	s.now += s.rtt
	s.idle = append(s.idle, idleConn{since: s.now, ends: s.now + s.limit(s.now)})
}

func (s *simulation) run(d time.Duration) {
	for s.now < d {
		s.now += s.gap()
		s.ask()
	}
}

// TestLearningOverManyHours has requests come at gaps that favour the race: half
// of them within 1% of the server's limit. Those are lost to a client that only
// looks before it writes. Dials are counted against that client's.
func TestLearningOverManyHours(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	fixed := func(d time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return d }
	}
	tests := []struct {
		name  string
		limit func(time.Duration) time.Duration
		about time.Duration // where the gaps gather
		rtt   time.Duration
		most  int // requests lost after the first 100
	}{
		{"closes at 100 ms", fixed(100 * ms), 100 * ms, 200 * time.Microsecond, 0},
		{"closes at 5 s", fixed(5 * sec), 5 * sec, ms, 0},
		{"closes at 15 s", fixed(15 * sec), 15 * sec, 20 * ms, 0},
		{"closes at 60 s", fixed(60 * sec), 60 * sec, 20 * ms, 0},
		{"closes at 75 s over 300 ms", fixed(75 * sec), 75 * sec, 300 * ms, 0},
		{"changes from 75 s to 5 s and back each hour", func(at time.Duration) time.Duration {
			if at/time.Hour%2 == 0 {
				return 75 * sec
			}
			return 5 * sec
		}, 5 * sec, ms, 10},
		{"jitters between 55 and 65 s", func(time.Duration) time.Duration { return 55*sec + rand.N(10*sec) }, 60 * sec, 20 * ms, 10},
		{"never closes", fixed(1000 * time.Hour), 60 * sec, 20 * ms, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gap := func() time.Duration {
				if rnd.IntN(2) == 0 { // about the limit
					return tt.about - tt.about/100 + time.Duration(rnd.Int64N(int64(tt.about/50)))
				}
				return time.Duration(rnd.Int64N(int64(2 * tt.about)))
			}
			duration := min(100*time.Hour, 20_000*tt.about)
			var runs [2]simulation
			for i := range runs {
				rnd = rand.New(rand.NewPCG(1, 2))
				runs[i] = simulation{limit: tt.limit, gap: gap, rtt: tt.rtt, learn: i == 1}
				runs[i].run(duration)
			}
			plain, learned := &runs[0], &runs[1]
			hours := duration.Hours()
			t.Logf("%.1f h, %d requests: lost %d, learned %d (%d after the first 100); dials per hour %.1f, learned %.1f, extra %.1f", hours, learned.requests,
				plain.lost, learned.lost, learned.lostLate, float64(plain.dials)/hours, float64(learned.dials)/hours, float64(learned.dials-plain.dials)/hours)
			require.LessOrEqual(t, learned.lostLate, tt.most)
		})
	}
}

// A restart closes connections of every age. What that taught wrongly is
// forgotten after three requests that it does not fit.
func TestARestartIsForgotten(t *testing.T) {
	var l idleLimit
	for _, age := range []time.Duration{9 * sec, 300 * ms, 2 * sec} {
		l.closed(age, ms, time.Unix(0, 0))
	}
	require.Equal(t, 300*ms, l.age)
	for i := range doubtful {
		l.outlived(sec, ms, time.Unix(int64(i+1), 0))
	}
	require.Equal(t, 2*sec, l.age, "what else was seen")
	for i := range doubtful {
		l.outlived(10*sec, ms, time.Unix(int64(10*i+10), 0))
	}
	require.Zero(t, l.age)
}
