package shard

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
)

// expireAt closes the connection with 4401 when its token ends.
func (c *Client) expireAt(at time.Time) {
	if at.IsZero() {
		return
	}
	left := max(at.Sub(c.s.loop.Now()), time.Millisecond)
	c.expiry = c.s.loop.AfterFunc(left, func() { c.close(protocol.CloseUnauthentic, "token expired") })
}

// authenticate asks EDGE_AUTH_SERVICE about a client. What the client sends
// before the answer waits.
func (c *Client) authenticate(a *Arrival) {
	s := c.s
	n := s.node
	refuse := func() { c.close(protocol.CloseUnauthentic, "authentication failed") }
	body, err := json.Marshal(access.Question{IP: c.addr().String(), Origin: a.Origin, Token: a.Token, URL: a.URI})
	if err != nil {
		refuse()
		return
	}
	msg := protocol.Message{To: n.Config.AuthService + ":[POST]/v1/auth", Type: "auth", Body: body}
	subject := scheme.ServiceSubject(scheme.Service(n.Config.AuthService)) // config has parsed it
	if !s.ask(c, subject, nil, s.encode(nil, &msg), nil, func(answer *nats.Msg) {
		if c.closing {
			return
		}
		if answer == nil || NoResponders(answer) {
			refuse()
			return
		}
		verdict := append([]byte(nil), protocol.AnswerBody(&s.inner, answer.Data)...)
		identity, err := access.ReadVerdict(answer.Data, verdict)
		if err != nil {
			refuse()
			return
		}
		c.identity, c.arriving().auth = identity.Name, verdict
		c.expireAt(identity.Expires)
		c.start()
	}) {
		refuse()
	}
}
