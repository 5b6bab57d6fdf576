package h1

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
)

// All that can be known of a failed request, against the rule in other words:
// again only on a connection that broke in reuse, unanswered, with a body to be
// had; and then what cannot have been done, or may be done twice.
func TestARequestIsSentAgainOnlyWhereThatDoesNoHarm(t *testing.T) {
	for bits := range 1 << 7 {
		bit := func(n int) bool { return bits>>n&1 != 0 }
		f := failure{
			broken: bit(0), reused: bit(1), written: bit(2), undelivered: bit(3),
			answered: bit(4), idempotent: bit(5), bodyAgain: bit(6),
		}
		possible := f.broken && f.reused && f.bodyAgain && !f.answered
		harmless := !f.written || f.undelivered || f.idempotent
		require.Equal(t, possible && harmless, f.retryable(), "%+v", f)
		if f.retryable() && !f.idempotent {
			require.Contains(t, []Outcome{OutcomeNotSent, OutcomeNotDelivered}, f.outcome(), "%+v", f)
		}
	}
}

func TestOutcomeIsTheFirstThatIsCertain(t *testing.T) {
	require.Equal(t, OutcomeNotSent, failure{}.outcome())
	require.Equal(t, OutcomeMaybeProcessed, failure{written: true}.outcome())
	require.Equal(t, OutcomeNotDelivered, failure{written: true, undelivered: true}.outcome())
	require.Equal(t, OutcomeAnswered, failure{written: true, undelivered: true, answered: true}.outcome())
	require.Equal(t, OutcomeMaybeProcessed, Outcome(0), "what is not known is the worst")
}

func TestOutcomesHaveNamesAndWords(t *testing.T) {
	seen := map[string]bool{}
	for o := range outcomes {
		require.NotEmpty(t, outcomeTexts[o].text)
		require.False(t, seen[o.String()], o)
		seen[o.String()] = true
	}
	require.Equal(t, "outcome_9", Outcome(9).String())
}

func TestLostConnectionsAreToldFromOtherFailures(t *testing.T) {
	lost := []fault.Code{fault.UnexpectedEOF, fault.ReadFailed, fault.WriteFailed, fault.Closed}
	for _, code := range []fault.Code{
		fault.UnexpectedEOF, fault.ReadFailed, fault.WriteFailed, fault.Closed,
		fault.Cancelled, fault.ResponseTimeout, fault.WriteTimeout, fault.DialFailed, fault.BadRequest, fault.BadStatusLine,
	} {
		err := fmt.Errorf("wrapped: %w", fault.New(code, fault.Server, ""))
		require.Equal(t, slices.Contains(lost, code), lostConnection(err), code)
	}
	require.False(t, lostConnection(io.ErrUnexpectedEOF), "of no connection of ours")
}

func TestARequestErrorTellsCauseAndOutcome(t *testing.T) {
	cause := fault.Wrap(fault.UnexpectedEOF, fault.Server, "waiting for the response", io.ErrUnexpectedEOF)
	var err error = &RequestError{Outcome: OutcomeNotDelivered, Err: cause}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, CodeUnexpectedEOF)
	require.Equal(t, cause.Error()+" (the request was sent and not delivered)", err.Error())
	var timeout interface{ Timeout() bool }
	require.True(t, errors.As(err, &timeout))
	require.False(t, timeout.Timeout())
	err = &RequestError{Err: fault.New(fault.ResponseTimeout, fault.Server, "")}
	require.True(t, err.(*RequestError).Timeout())
}
