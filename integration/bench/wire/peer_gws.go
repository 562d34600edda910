package main

import (
	"net"

	"github.com/lxzan/gws"
)

type gwsSink struct{ *gws.Conn }

func (s gwsSink) writeText(p []byte) error { return s.WriteMessage(gws.OpcodeText, p) }

type gwsHandler struct{ gws.BuiltinEventHandler }

func (gwsHandler) OnOpen(c *gws.Conn) { open.add(gwsSink{c}) }

func (gwsHandler) OnClose(c *gws.Conn, _ error) { open.remove(gwsSink{c}) }

func (gwsHandler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if command(m.Bytes()) {
		return
	}
	_ = c.WriteMessage(m.Opcode, m.Bytes())
}

func serveGws(ln net.Listener) error {
	return gws.NewServer(gwsHandler{}, &gws.ServerOption{CheckUtf8Enabled: true}).RunListener(ln)
}
