package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChosenByNameOrPattern(t *testing.T) {
	require.True(t, chosen([]string{"*"}, "net/http"))
	require.True(t, chosen([]string{"nginx", "net/*"}, "net/http"))
	require.True(t, chosen([]string{"get-*"}, "get-64"))
	require.False(t, chosen([]string{"get-64"}, "get-641"))
}
