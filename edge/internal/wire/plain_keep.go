package wire

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
)

// keep decides whether a connection serves another request, finds out whose this one is,
// and gives an upgrade that comes as one back to a loop.
func (p *plainServer) keep(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pc := plainConn(r.Context())
		if pc == nil {
			w.Header().Set("Connection", "close")
			h.ServeHTTP(w, r)
			return
		}
		if p.open() > int64(p.srv.o.MaxPlain)/2 || p.srv.full() || p.srv.isClosed() {
			w.Header().Set("Connection", "close")
		}
		if fault := faultOf(r); fault != "" { // no loop looks at what follows on a connection
			w.Header().Set("Connection", "close")
			http.Error(w, fault, http.StatusBadRequest)
			return
		}
		if upgradeLike(r) {
			p.giveBack(pc, w, r)
			return
		}
		if pc.from.relays {
			if !p.identify(pc, r) {
				p.srv.drops[DropAddressFull].Add(1)
				w.Header().Set("Retry-After", retryAfter.Get("Retry-After"))
				http.Error(w, tooManyOfAddress, http.StatusTooManyRequests)
				return
			}
			defer pc.countFor(netip.Addr{}) // while it waits for the next, it is nobody's
		}
		h.ServeHTTP(w, r)
	})
}

// identify finds out for whom a proxy sends a request, and counts the connection by that
// address, unless it has too many.
func (p *plainServer) identify(pc *prefixConn, r *http.Request) bool {
	h := head{fields: fieldLines(http.Header{forwardedFor: r.Header[forwardedFor]})}
	client, ok := h.forwarded(p.srv.trusted)
	if !ok {
		client = pc.from.addr
	}
	pc.remote, pc.shared = client, p.srv.trusted(client.Addr())
	r.RemoteAddr = client.String()
	if pc.shared {
		return pc.countFor(netip.Addr{})
	}
	return pc.countFor(AddressKey(client.Addr()))
}

// upgradeLike reports whether a loop would not have handed a request to net/http.
func upgradeLike(r *http.Request) bool {
	h := head{fields: fieldLines(http.Header{"Upgrade": r.Header["Upgrade"]})}
	return h.upgrade() || r.Method == http.MethodGet && r.Header["Sec-Websocket-Key"] != nil
}

// giveBack has a loop take over a connection, with a request that net/http has read.
func (p *plainServer) giveBack(pc *prefixConn, w http.ResponseWriter, r *http.Request) {
	switch {
	case p.srv.isClosed():
		http.Error(w, "no more connections here", http.StatusServiceUnavailable)
		return
	case r.ContentLength != 0:
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
	p.srv.readopt(pc, b.Bytes())
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
