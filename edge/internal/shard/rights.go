package shard

import (
	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// What the rules of a client allow is decided where a message has been routed, by
// the name that its subject is made of: not by what a message says of itself.

// admitted goes on with a client when it is known who it is, unless it came with
// rules that are none: they were to bind it.
func (c *Client) admitted(id access.Identity) {
	if c.allow(id) {
		c.openAccount()
		c.enter()
	}
}

// allow gives a client the rules that its token came with, for as long as that holds,
// and reports whether they are any.
func (c *Client) allow(id access.Identity) bool {
	rights, err := c.s.node.Rules.Rights(id.Rules, id.Name)
	if err != nil {
		if count := c.s.countDenial(policy.DeniedRules); count > 0 {
			c.s.node.Log.Warn("clients refused: what came as their rules is none", "count", count, "address", c.addr(), "error", err)
		}
		c.close(protocol.CloseUnauthentic, policy.DeniedRules.Text())
		return false
	}
	c.rights = rights
	c.expireAt(id.Expires)
	return true
}

// mayReach reports whether the client may write to a service. If not, it is told.
func (c *Client) mayReach(e *umf.Envelope, to umf.Address) bool {
	why, ok := c.rights.Service(to.Service)
	if ok || why == policy.DeniedService && c.has.mayAnswer(e, to) {
		return true
	}
	c.took(stats.InDenied)
	c.deny(e.Raw(umf.Mid), why, to.Service)
	return false
}

// mayQueue reports whether the client may store work for a service. If not, it is
// told.
func (c *Client) mayQueue(e *umf.Envelope, to umf.Address) bool {
	why, ok := c.rights.Queue(to.Service)
	if !ok {
		c.took(stats.InDenied)
		c.deny(e.Raw(umf.Mid), why, to.Service)
	}
	return ok
}

// mayWrite reports whether the client may write to a session. If not, it is told.
// user is the identity that the session must have, which has to be looked up; "":
// any.
func (c *Client) mayWrite(e *umf.Envelope, to scheme.SID) (user string, ok bool) {
	scope := c.rights.Clients()
	switch {
	case scope == policy.Anybody, c.has.mayAnswer(e, umf.Address{Instance: string(to), Service: scheme.ClientService}):
		return "", true
	case scope == policy.User:
		return c.rights.Identity(), true
	}
	c.took(stats.InDenied)
	c.deny(e.Raw(umf.Mid), policy.DeniedClient, "")
	return "", false
}

// deny tells the client that its rules do not allow a message. The connection stays.
// A line in the log names the service, if there is one.
func (c *Client) deny(rmid []byte, why policy.Denial, service string) {
	if count := c.s.countDenial(why); count > 0 {
		c.s.node.Log.Warn("messages denied by the rules for clients", "kind", why.String(), "count", count,
			"service", service, "user", c.rights.Identity(), "address", c.addr())
	}
	c.fail(rmid, protocol.CodeDenied, why.Text())
}

// countDenial counts one, and returns how many a line in the log would stand for; 0:
// there was one a moment ago.
func (s *Shard) countDenial(why policy.Denial) uint64 {
	return s.node.Metrics.Denied.Inc(why, s.loop.Now())
}
