package shard

import (
	"context"
	"errors"
	"strings"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// What clients ask of the router itself.

// routerAPI answers a [METHOD] message to the router.
func (c *Client) routerAPI(e *umf.Envelope, to umf.Address) {
	n := c.s.node
	var buf [128]byte
	authorization, _ := e.Text(umf.Authorization, buf[:0])
	rmid := append([]byte(nil), e.Raw(umf.Mid)...)
	path, _, _ := strings.Cut(to.Path, "?")
	job, no := n.API(path, string(authorization), c.addr())
	if job == nil {
		c.fail(rmid, no, whyNoRoute(no, path))
		return
	}
	call(c, job, func(data []byte, err error) {
		switch {
		case c.closing || c.has == nil:
		case err != nil:
			if !errors.Is(err, errBusy) {
				n.Log.Warn("router API", "path", path, "error", err)
			}
			c.failCall(rmid, err)
		default:
			c.reply(stats.OutAPI, protocol.Message{To: protocol.ClientAddress(string(c.has.sid)), RMid: rmid, Body: data})
		}
	})
}

// whyNoRoute says why a client gets no answer from a route.
func whyNoRoute(no protocol.Code, path string) string {
	switch no {
	case protocol.CodeForbidden:
		return "Route " + protocol.Quote([]byte(path)) + " is for administrators"
	case protocol.CodeOverload:
		return "Too many wrong tokens of administrators"
	}
	return "Route " + protocol.Quote([]byte(path)) + " is not routable."
}

// pong answers a ping to the router.
func (c *Client) pong(e *umf.Envelope) {
	c.reply(stats.OutPong, protocol.Message{ToRaw: e.Raw(umf.From), From: protocol.NoSender, RMid: e.Raw(umf.Mid), Type: protocol.TypePong, Body: []byte(protocol.PongBody)})
}

// locate answers wsdir.loc: which node holds a session's socket.
func (c *Client) locate(e *umf.Envelope) {
	n := c.s.node
	id, _ := umf.MemberText(e.Raw(umf.Body), "clientID") // none is the same as an unknown client
	to := append([]byte(nil), e.Raw(umf.From)...)
	rmid := append([]byte(nil), e.Raw(umf.Mid)...)
	answer := func(node string) {
		c.reply(stats.OutWsdir, protocol.Message{ToRaw: to, RMid: rmid, Type: protocol.TypeLocate, Body: protocol.AppendLocation(nil, node, id)})
	}
	sid, err := scheme.ParseSID(id)
	if err != nil {
		answer("")
		return
	}
	job := func(ctx context.Context) (string, error) {
		entry, _, err := n.Directory.Get(ctx, sid)
		if err != nil || entry.State != scheme.StateLive {
			return "", err
		}
		return string(entry.Node), nil
	}
	call(c, job, func(node string, err error) {
		switch {
		case c.closing:
		case err == nil, errors.Is(err, store.ErrNoSession):
			answer(node)
		default:
			c.failCall(rmid, err)
		}
	})
}
