package h1debug

import (
	"html/template"
	"time"
)

// page is what people see. It needs no script.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"short": func(d time.Duration) string {
		if d >= time.Second {
			return d.Round(100 * time.Millisecond).String()
		}
		return d.Round(100 * time.Microsecond).String()
	},
}).Parse(`<!DOCTYPE html>
<html lang="en">
<title>h1: connections</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em }
table { border-collapse: collapse }
th, td { padding: .15em .7em; text-align: left; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }
td.n { text-align: right }
tr.active { background: #eef6ea }
tr.closing { background: #f9efe6 }
</style>
{{range .}}
<h1>{{.Name}}</h1>
<details><summary>{{.Open}} open</summary><pre>{{.StatsJSON}}</pre></details>
<table>
<tr><th>id<th>peer<th>TLS<th>state<th>age<th>idle<th>requests<th>in<th>out<th>waits<th>closes because
{{range .Conns}}<tr class="{{if .Closing}}closing{{else}}{{.State}}{{end}}"><td class="n">{{.ID}}<td>{{.Remote}}<td>{{if .TLS}}yes{{end}}<td>{{.State}}<td class="n">{{short .Age}}<td class="n">{{if .Idle}}{{short .Idle}}{{end}}<td class="n">{{.Requests}}<td class="n">{{.BytesIn}}<td class="n">{{.BytesOut}}<td>{{.Waiting}}<td>{{if .Closing}}{{.Reason.Explain}}{{end}}{{with .Err}}: {{.}}{{end}}
{{end}}</table>
{{end}}
`))
