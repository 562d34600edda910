package shard

import (
	"context"
	"errors"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// A client may bring a new token before its token ends, so that it keeps its connection.

// renews reports whether the client may do so.
func (c *Client) renews() bool { return c.second && c.s.node.Config.Auth != config.AuthNone }

// renew takes a new token. The client is not read from until it is known whose that is:
// what it sends behind the token is judged by the rules that come with that.
func (c *Client) renew(e *umf.Envelope) {
	s := c.s
	token, _ := umf.MemberText(e.Raw(umf.Body), "token") // none is a wrong one
	rmid := append([]byte(nil), e.Raw(umf.Mid)...)
	c.busy = true
	c.conn.Pause()
	if s.node.Config.Auth == config.AuthService {
		c.askWho(access.Question{Token: token}, func(_ []byte, id access.Identity, err error) { c.renewed(rmid, id, err) })
		return
	}
	submit(s, func(context.Context) (access.Identity, error) { return s.node.CheckToken(token) },
		func(id access.Identity, err error) { c.renewed(rmid, id, err) })
}

// renewed goes on with a client when it is known whose the new token is. It has to be
// the same one's: the session is, and so is all that was said in it.
func (c *Client) renewed(rmid []byte, id access.Identity, err error) {
	c.busy = false
	if c.closing || c.has == nil {
		return
	}
	switch {
	case errors.Is(err, errBusy):
		c.fail(rmid, protocol.CodeOverload, "Messaging is overloaded")
	case errors.Is(err, access.ErrUnchecked):
		c.s.node.Metrics.Dropped.Inc(stats.DropUnchecked)
		c.fail(rmid, protocol.CodeUnavailable, "The token cannot be checked now")
	case err != nil, id.Name != c.rights.Identity():
		c.close(protocol.CloseUnauthentic, "authentication failed")
	default:
		if c.allow(id) {
			c.reply(stats.OutAccepted, protocol.Message{To: protocol.ClientAddress(string(c.has.sid)), RMid: rmid, Type: protocol.TypeAccepted,
				Body: protocol.AppendAccepted(nil, c.tokenEnds())})
		}
	}
	c.readOn()
}
