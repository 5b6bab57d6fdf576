package h1

// This file fits a Server's timeouts to a load balancer in front of it.

import "time"

// BehindLB sets the timeouts that a Server needs behind a load balancer, or any
// proxy that keeps connections to it, whose idle timeout is given: the time for
// which the balancer keeps an unused connection to the server (60 s on AWS ALB
// and as nginx's upstream keepalive_timeout, 600 s on Google's). Fields that are
// set already stay as they are. Call it before Serve.
//
// Most answers 502 from a balancer have one cause: the server closed a connection
// for its idleness just when the balancer used it again. So the balancer has to
// be the one that gives up first, everywhere:
//
//   - KeepAlive.IdleTimeout: idle and a thirtieth of it, at least 5 s more: 65 s
//     for 60 s, 620 s for 600 s, as AWS and Google advise. The difference covers
//     the way of the balancer's FIN, and a clock that started when the answer
//     was received and not when it was sent.
//   - KeepAlive.AdvertiseTimeout: idle, should Advertise be set: what the balancer
//     does anyway.
//   - KeepAlive.MinIdle: as IdleTimeout. A server that shuts down waits for the
//     next request of each connection, whose answer says close, or for the
//     balancer to close it. Shutdown may take that long: give it the time, as by
//     terminationGracePeriodSeconds in Kubernetes, or set MinIdle to less and let
//     the balancer turn away first, by DrainOptions.ReadyDelay.
//   - StallTimeout: as IdleTimeout, so that a client who stalls gets the
//     balancer's answer, and not one that a broken connection leads to.
//   - ReadHeaderTimeout: idle, where that is less than the default of 20 s. A
//     balancer sends a head in one piece, and waits for no answer for longer.
//
// An idle timeout of zero or less changes nothing.
func (s *Server) BehindLB(idle time.Duration) {
	if idle <= 0 {
		return
	}
	later := idle + max(idle/30, 5*time.Second)
	orElse(&s.KeepAlive.AdvertiseTimeout, idle)
	orElse(&s.KeepAlive.MinIdle, later)
	orElse(&s.StallTimeout, later)
	if s.IdleTimeout == 0 {
		orElse(&s.KeepAlive.IdleTimeout, later)
	}
	if s.ReadTimeout <= 0 { // which else takes its place
		orElse(&s.ReadHeaderTimeout, min(idle, defaultHeadTime))
	}
}

// orElse sets what is not set.
func orElse(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}
