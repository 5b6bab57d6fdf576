package h1

// This file turns a message's fields into a net/http Header. All of it is new
// memory: the head is copied once, and the strings are parts of the copy.

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"
)

// header makes a Header of the fields, in one array for all values that come
// alone. Left out are those that net/http keeps elsewhere: Transfer-Encoding,
// Trailer where trailers may follow and, in requests, Host. A length that was
// said twice is there once, as programs copy the fields to other messages (RFC
// 9110 section 8.6).
func (h *head) header(text string) http.Header {
	most := len(h.fields) - h.codings
	if h.status == 0 {
		most -= h.hosts
	}
	if most == 0 {
		return http.Header{}
	}
	header := make(http.Header, most) // past 8, one more makes a table twice as large
	values := make([]string, 0, most)
	var seen field.Set // known names that are in the map; of others it has to be asked
	for i := range h.fields {
		f := &h.fields[i]
		switch f.id {
		case field.TransferEncoding:
			continue
		case field.Trailer:
			if h.codings > 0 {
				continue
			}
		case field.Host:
			if h.status == 0 {
				continue
			}
		}
		name := f.key(text)
		value := f.value.in(text)
		if seen.Add(f.id) || f.id == field.Unknown {
			if had, ok := header[name]; ok {
				header[name] = append(had, value)
				continue
			}
		}
		n := len(values)
		values = append(values, value)
		header[name] = values[n : n+1 : n+1]
	}
	if h.lengths > 1 {
		length := field.ContentLength.String()
		header[length] = header[length][:1]
	}
	return header
}

// responseHeader is header for a response. It is without what would do harm to
// programs that copy the fields to another message: that this connection is to
// close, which Response.Close says.
func (h *head) responseHeader(text string) http.Header {
	header := h.header(text)
	if h.options&optClose != 0 {
		delete(header, field.Connection.String())
	}
	return header
}

// key is the field's name in canonical form.
func (f *headField) key(text string) string {
	if f.id != field.Unknown {
		return f.id.String()
	}
	return textproto.CanonicalMIMEHeaderKey(f.name.in(text))
}

// in is span.of for the copy of the head.
func (s span) in(text string) string { return text[s.lo:s.hi] }

// transferCodings lists the message's transfer codings in the order they were
// applied, as net/http's TransferEncoding fields do; nil when there are none.
func (h *head) transferCodings(text []byte) []string {
	if h.codings == 0 {
		return nil
	}
	if h.chunkedOnly {
		return []string{"chunked"}
	}
	var list []string
	for i := range h.fields {
		if f := &h.fields[i]; f.id == field.TransferEncoding {
			for elem, rest, ok := octet.NextElement(f.value.of(text)); ok; elem, rest, ok = octet.NextElement(rest) {
				list = append(list, strings.ToLower(string(elem)))
			}
		}
	}
	return list
}

// announced are the trailer fields that a chunked message promises, without
// values yet; nil when there are none. Those that would be refused are not
// expected either.
func (h *head) announced(text string) http.Header {
	if !h.trailer || h.codings == 0 {
		return nil
	}
	var trailer http.Header
	for i := range h.fields {
		f := &h.fields[i]
		if f.id != field.Trailer {
			continue
		}
		for name := range strings.SplitSeq(f.value.in(text), ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t"))
			if name == "" || allowedInTrailer(field.Lookup([]byte(name))) != fault.None {
				continue
			}
			if trailer == nil {
				trailer = http.Header{}
			}
			trailer[name] = nil
		}
	}
	return trailer
}

// trailerInto adds the trailer section's fields to a message's Trailer.
func (in *incoming) trailerInto(trailer *http.Header) {
	if len(in.trailer.fields) == 0 {
		return
	}
	if *trailer == nil {
		*trailer = make(http.Header, len(in.trailer.fields))
	}
	text := string(in.trailerText)
	for i := range in.trailer.fields {
		f := &in.trailer.fields[i]
		name := f.key(text)
		(*trailer)[name] = append((*trailer)[name], f.value.in(text))
	}
}
