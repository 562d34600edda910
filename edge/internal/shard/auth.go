package shard

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// expireAt closes the connection with 4401 when its token ends.
func (c *Client) expireAt(at time.Time) {
	if at.IsZero() {
		stop(&c.expiry)
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

// tokenEnds is when the client's token does; zero: never.
func (c *Client) tokenEnds() time.Time {
	if c.expiry == nil {
		return time.Time{}
	}
	return time.Unix(int64(c.expires), 0)
}

// authenticate asks EDGE_AUTH_SERVICE about a client. What the client sends
// before the answer waits. A client about whom there is no answer now is asked to
// come back: only a no is told as one, since programs forget a user's login with it.
func (c *Client) authenticate(a *Arrival) {
	c.askWho(access.Question{Origin: a.Origin, Token: a.Token, URL: a.URI}, func(verdict []byte, identity access.Identity, err error) {
		if err != nil {
			c.unauthentic(err)
			return
		}
		c.arriving().auth = verdict
		c.admitted(identity)
	})
}

// askWho asks EDGE_AUTH_SERVICE, and calls done once, unless the client goes.
func (c *Client) askWho(q access.Question, done func(verdict []byte, identity access.Identity, err error)) {
	s := c.s
	q.IP = c.addr().String()
	body, err := json.Marshal(q)
	if err != nil {
		done(nil, access.Identity{}, err)
		return
	}
	service := s.node.Config.AuthService
	msg := access.Ask(service, body)
	subject := scheme.ServiceSubject(scheme.Service(service)) // config has parsed it
	if !s.ask(c, subject, nil, s.encode(nil, &msg), nil, func(answer *nats.Msg) {
		if c.closing {
			return
		}
		if answer == nil || NoResponders(answer) {
			done(nil, access.Identity{}, access.ErrUnchecked)
			return
		}
		verdict := append([]byte(nil), protocol.AnswerBody(&s.inner, answer.Data)...)
		identity, err := access.ReadVerdict(access.Answer{Header: answer.Header, Data: answer.Data, Body: verdict}, s.loop.Now())
		done(verdict, identity, err)
	}) {
		done(nil, access.Identity{}, access.ErrUnchecked)
	}
}

// unauthentic ends the connection of a client that is not let in.
func (c *Client) unauthentic(err error) {
	if errors.Is(err, access.ErrUnchecked) {
		c.s.node.Metrics.Dropped.Inc(stats.DropUnchecked)
		c.close(protocol.CloseOverload, comeBack)
		return
	}
	c.close(protocol.CloseUnauthentic, "authentication failed")
}
