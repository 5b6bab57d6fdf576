package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBigHeadHasItsSize(t *testing.T) {
	require.Len(t, bigHead, headSize)
}

func TestEveryParserTakesTheBigHeadAgainAndAgain(t *testing.T) {
	for _, p := range parsers {
		if p.open == nil {
			continue
		}
		parse := p.open()
		for range 3 {
			require.NoError(t, parse(), p.name)
		}
	}
}

func TestReadAllocationsOfABenchmark(t *testing.T) {
	allocs, err := readAllocations("goos: linux\nBenchmarkParseRequest \t 3000000\t 371.5 ns/op\t1892.33 MB/s\t 0 B/op\t 2 allocs/op\nPASS\n")
	require.NoError(t, err)
	require.Equal(t, 2.0, allocs)
	_, err = readAllocations("PASS\n")
	require.Error(t, err, "no such benchmark")
}
