package wire

import (
	"bytes"
	"net/http"
	"strings"
)

// plainKey is the context's key for the connection of a plain request.
type plainKey struct{}

// keep decides whether a connection serves another request, and gives an upgrade that
// comes as one back to a loop.
func (p *plainServer) keep(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pc, _ := r.Context().Value(plainKey{}).(*prefixConn)
		if pc == nil || pc.proxy || p.open() > int64(p.srv.o.MaxPlain)/2 || p.srv.full() {
			w.Header().Set("Connection", "close")
		} else if upgradeLike(r) {
			p.giveBack(pc, w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// upgradeLike reports whether a loop would not have handed a request to net/http.
func upgradeLike(r *http.Request) bool {
	h := head{fields: fieldLines(http.Header{"Upgrade": r.Header["Upgrade"]})}
	return h.upgrade() || r.Method == http.MethodGet && r.Header["Sec-Websocket-Key"] != nil
}

// giveBack has a loop take over a connection, with a request that net/http has read.
func (p *plainServer) giveBack(pc *prefixConn, w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 || p.srv.isClosed() {
		w.Header().Set("Connection", "close")
		http.Error(w, "a request for an upgrade has no body", http.StatusBadRequest)
		return
	}
	_, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no upgrade on this connection", http.StatusInternalServerError)
		return
	}
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\nHost: " + r.Host + "\r\n")
	b.Write(fieldLines(r.Header))
	b.WriteString("\r\n")
	rest, _ := rw.Reader.Peek(rw.Reader.Buffered())
	b.Write(rest)
	pc.release()
	p.srv.adoptConn(&prefixConn{Conn: pc.Conn, prefix: b.Bytes()}, nil)
}

// fieldLines writes a request's fields as they could have come.
func fieldLines(h http.Header) []byte {
	var b bytes.Buffer
	for name, values := range h {
		for _, v := range values {
			b.WriteString(name + ": " + strings.NewReplacer("\r", " ", "\n", " ").Replace(v) + "\r\n")
		}
	}
	return b.Bytes()
}
