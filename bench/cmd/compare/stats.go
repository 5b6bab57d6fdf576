package main

import (
	"slices"
	"time"
)

// sample is one measured stretch of one subject.
type sample struct {
	requests int
	cpu      time.Duration // of the measured process
	wall     time.Duration
	errors   string // what the load complained of; empty is good
}

// cost is CPU time for each request, in microseconds.
func (s sample) cost() float64 {
	if s.requests == 0 {
		return 0
	}
	return float64(s.cpu.Nanoseconds()) / 1e3 / float64(s.requests)
}

func (s sample) perSecond() float64 {
	if s.wall == 0 {
		return 0
	}
	return float64(s.requests) / s.wall.Seconds()
}

// busy is the share of its core that the measured process used.
func (s sample) busy() float64 {
	if s.wall == 0 {
		return 0
	}
	return float64(s.cpu) / float64(s.wall)
}

// spread is the middle and the ends of what several rounds gave.
type spread struct{ low, median, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (v[len(v)/2-1] + mid) / 2
	}
	return spread{low: v[0], median: mid, high: v[len(v)-1]}
}

// over gathers one figure of every sample.
func over(samples []sample, figure func(sample) float64) spread {
	var values []float64
	for _, s := range samples {
		if s.requests > 0 {
			values = append(values, figure(s))
		}
	}
	return spreadOf(values)
}

// ratios divides each round's cost by the floor's cost in the same round: noise that lasts as long as a round hits both.
func ratios(samples, floor []sample) spread {
	var values []float64
	for i, s := range samples {
		if i < len(floor) && floor[i].requests > 0 && s.requests > 0 {
			values = append(values, s.cost()/floor[i].cost())
		}
	}
	return spreadOf(values)
}
