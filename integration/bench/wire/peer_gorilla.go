package main

import (
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

type gorillaSink struct{ *websocket.Conn }

func (s gorillaSink) writeText(p []byte) error { return s.WriteMessage(websocket.TextMessage, p) }

func serveGorilla(ln net.Listener) error {
	var up websocket.Upgrader
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		s := gorillaSink{c}
		open.add(s)
		defer open.remove(s)
		defer c.Close()
		for {
			op, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			if command(p) {
				continue
			}
			if c.WriteMessage(op, p) != nil {
				return
			}
		}
	}))
}
