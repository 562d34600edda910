package main

import (
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

type gobwasSink struct{ net.Conn }

func (s gobwasSink) writeText(p []byte) error { return wsutil.WriteServerText(s.Conn, p) }

func serveGobwas(ln net.Listener) error {
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		s := gobwasSink{c}
		open.add(s)
		go func() { // so that net/http's goroutine and its buffers go
			defer open.remove(s)
			defer c.Close()
			for {
				p, op, err := wsutil.ReadClientData(c)
				if err != nil {
					return
				}
				if command(p) {
					continue
				}
				if wsutil.WriteServerMessage(c, op, p) != nil {
					return
				}
			}
		}()
	}))
}
