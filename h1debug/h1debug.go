// Package h1debug shows a program's connections live: a page for people, and
// the same as JSON for programs.
//
//	admin.Handle("/debug/h1", h1debug.Handler(h1debug.Server("public", srv)))
//
// It tells clients' addresses to whoever may ask, so serve it where only the
// operators can.
package h1debug

import (
	"cmp"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/h1go/h1"
)

// Subject is something that has connections.
type Subject struct {
	Name  string
	Stats func() any                   // its counts, as JSON shows them; may be nil
	Conns func() iter.Seq[h1.ConnInfo] // those open now
}

// Server is a Server under a name of its own.
func Server(name string, s *h1.Server) Subject {
	return Subject{Name: name, Stats: func() any { return s.Stats() }, Conns: s.Conns}
}

// Transport is a Transport under a name of its own.
func Transport(name string, t *h1.Transport) Subject {
	return Subject{Name: name, Stats: func() any { return t.Stats() }, Conns: t.Conns}
}

// shownAtOnce is how many connections of a subject are shown when the query does
// not say.
const shownAtOnce = 200

// Handler shows the subjects: as JSON where the query has format=json, or the
// Accept field application/json, and else as a page. The query's n is how many
// connections of each are shown, 200 by default: those first that are busy for
// longest, then those that are idle for longest.
func Handler(subjects ...Subject) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := shownAtOnce
		if given := r.FormValue("n"); given != "" {
			var err error
			if n, err = strconv.Atoi(given); err != nil || n < 0 {
				http.Error(w, "n is no number of connections", http.StatusBadRequest)
				return
			}
		}
		views := make([]view, len(subjects))
		for i, s := range subjects {
			views[i] = s.view(n)
		}
		w.Header().Set("Cache-Control", "no-store")
		if r.FormValue("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(views)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, views)
	})
}

// view is a subject at one moment.
type view struct {
	Name  string        `json:"name"`
	Stats any           `json:"stats,omitempty"`
	Open  int           `json:"open"` // of which Conns are some
	Conns []h1.ConnInfo `json:"connections"`
}

func (s Subject) view(n int) view {
	v := view{Name: s.Name, Conns: []h1.ConnInfo{}}
	if s.Stats != nil {
		v.Stats = s.Stats()
	}
	for c := range s.Conns() {
		v.Open++
		v.Conns = append(v.Conns, c)
	}
	slices.SortFunc(v.Conns, func(a, b h1.ConnInfo) int {
		return cmp.Or(
			cmp.Compare(min(1, a.Idle), min(1, b.Idle)), // the busy ones first
			cmp.Compare(b.Idle, a.Idle),
			cmp.Compare(b.Age, a.Age),
			cmp.Compare(a.ID, b.ID),
		)
	})
	v.Conns = v.Conns[:min(n, len(v.Conns))]
	return v
}

// StatsJSON is the counts as text, for the page.
func (v view) StatsJSON() (string, error) {
	text, err := json.MarshalIndent(v.Stats, "", "  ")
	return string(text), err
}
