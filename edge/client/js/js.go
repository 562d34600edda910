// Package js is Hydrant's client for browsers, and all else that speaks JavaScript:
// hydrant.js, one module that nodes serve as it stands here. It is packed for npm from
// the same file, with declarations that tsc makes of it.
//
//	<script type="module">
//	  import { connect } from "https://edge.example.com/hydrant.js";
//	  const client = connect("wss://edge.example.com");
//	</script>
//
// What it does is in README.md beside it.
package js

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed hydrant.js
var source []byte

// compressed is source as most browsers want it.
var compressed = func() []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(source)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("js: " + err.Error()) // a buffer takes everything
	}
	return b.Bytes()
}()

// tag names the source. It changes with it.
var tag = func() string {
	sum := sha256.Sum256(source)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}()

// Serve answers GET and HEAD for the module. Pages of any origin may read it: there is
// nothing of anybody in it. Whoever has it asks whether it is still the same.
func Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	body, name := source, tag
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		body, name = compressed, tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", strconv.Quote(name))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads a list of codings (RFC 9110 §12.5.3).
func acceptsGzip(fields []string) bool {
	for coding := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, weighed := strings.Cut(strings.ReplaceAll(weight, " ", ""), "q=")
		value, err := strconv.ParseFloat(q, 64)
		return !weighed || err == nil && value > 0
	}
	return false
}
