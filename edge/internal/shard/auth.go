package shard

import (
	"encoding/json"
	"math"
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
	seconds := at.Unix()
	if at.Nanosecond() > 0 {
		seconds++
	}
	c.expires = uint32(min(max(seconds, 1), math.MaxUint32))
	c.expireIn(max(at.Sub(c.s.loop.Now()), time.Millisecond))
}

func (c *Client) expireIn(left time.Duration) {
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.expiry = c.s.loop.AfterFunc(left, c.expired)
}

func (c *Client) expired() { c.close(protocol.CloseUnauthentic, "token expired") }

// expireStalled looks at the tokens of all clients after the process did not run. A
// token ends by the wall clock, which goes on while a machine sleeps; timers do not.
func (s *Shard) expireStalled() {
	var list []*Client
	for c := range s.loop.Clients() {
		if c.expiry != nil {
			list = append(list, c)
		}
	}
	for _, c := range list {
		if left := time.Unix(int64(c.expires), 0).Sub(s.loop.Now()); left > 0 {
			c.expireIn(left)
		} else {
			c.expired()
		}
	}
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
		c.arriving().auth = verdict
		c.admitted(identity)
	}) {
		refuse()
	}
}
