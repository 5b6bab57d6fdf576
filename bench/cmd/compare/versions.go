package main

import (
	"runtime/debug"
	"slices"
)

// peers are the modules whose versions belong beside the figures.
var peers = []string{
	"github.com/valyala/fasthttp", "github.com/cloudwego/hertz", "github.com/lesismal/nbio", "github.com/panjf2000/gnet/v2",
}

func moduleVersions() []string {
	var said []string
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		if slices.Contains(peers, m.Path) {
			said = append(said, m.Path+" "+m.Version)
		}
	}
	return said
}
