package main

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

type coderSink struct{ *websocket.Conn }

func (s coderSink) writeText(p []byte) error {
	return s.Write(context.Background(), websocket.MessageText, p)
}

func serveCoder(ln net.Listener) error {
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		s := coderSink{c}
		open.add(s)
		defer open.remove(s)
		defer func() { _ = c.CloseNow() }()
		ctx := context.Background()
		for {
			op, p, err := c.Read(ctx)
			if err != nil {
				return
			}
			if command(p) {
				continue
			}
			if c.Write(ctx, op, p) != nil {
				return
			}
		}
	}))
}
