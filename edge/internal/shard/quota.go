package shard

import (
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
)

// unusedTTL is how long a session is kept whose client went before anything was said.
const unusedTTL = 2 * time.Minute

// openAccount finds the account that the client pays with: of who it is or, where it
// has no identity, of its address.
func (c *Client) openAccount() {
	n := c.s.node
	who := quota.Who{Identity: c.rights.Identity()}
	if who.Identity == "" {
		who.Address = wire.AddressKey(c.addr())
		if c.arriving().shared {
			c.account = n.Accounts.Free(who)
			return
		}
	}
	c.account = n.Accounts.Open(who, c.s.uptime())
}

// unused reports whether a fresh session has been of no use to anybody.
func (h *held) unused() bool {
	return !h.resumed && !h.used && h.owner.Entry().Identity == ""
}

// claiming reports whether the session is on its way to a socket that asks for it.
func (h *held) claiming() bool { return h.client != nil && h.client.want == h }

// guesses reports whether a claim comes from where all guesses are spent. Then it is
// not worth the proof that there is no such session; without one the client is not told
// that either, and has to come back.
func (h *held) guesses() bool {
	if !h.claiming() {
		return false
	}
	c, n := h.client, h.s.node
	if n.Guesses.Left(c.addr(), h.s.loop.Now()) {
		return false
	}
	n.Metrics.Dropped.Inc(stats.DropGuesses)
	c.close(protocol.CloseOverload, comeBack)
	return true
}

// withoutSession greets a client from where too many sessions have ended unused, or where
// there is no room for any, and opens none: an old client asks for the session that it had only when it has been
// greeted, and must get it. Whatever else it asks for ends the connection.
func (c *Client) withoutSession() {
	s := c.s
	sid, err := s.node.Mailboxes.NewSID()
	if err != nil || s.node.Signatures != nil || // who signs must know its session
		c.arriving().refused != protocol.Resumed { // and this one has asked already
		c.refuseSession()
		return
	}
	r := c.arriving()
	r.instead = sid
	body := c.greeting(sid)
	body.Auth, body.Token = r.auth, newToken()
	c.reply(stats.OutConnection, protocol.Message{To: protocol.ClientAddress(string(sid)), Type: protocol.TypeConnection, Body: body.Append(nil)})
	r.auth = nil
	c.busy = false
	c.readOn()
}

// refuseSession ends the connection of a client that is given no session now.
func (c *Client) refuseSession() {
	why := stats.DropUnused
	if c.s.node.Full.Load() {
		why = stats.DropDirectoryFull
	}
	c.s.node.Metrics.Dropped.Inc(why)
	c.close(protocol.CloseOverload, comeBack)
}

// routeWithoutSession takes a message of a client that has no session: it may ask for
// one that it had.
func (c *Client) routeWithoutSession(p []byte) {
	s := c.s
	e := &s.envelope
	s.size = len(p)
	if umf.Scan(p, e) == nil && e.Check() == nil {
		var to, typ [128]byte
		text, _ := e.Text(umf.To, to[:0])
		address, err := umf.ParseAddress(text)
		kind, _ := e.Text(umf.Type, typ[:0])
		if err == nil && address.Service == s.node.Config.ServiceName && address.Method == "" &&
			(string(kind) == protocol.TypeReconnect || string(kind) == protocol.TypeReconnection) {
			c.took(stats.InResume)
			c.resume(e)
			return
		}
	}
	c.refuseSession()
}

// sid is the id that the client was greeted with.
func (c *Client) sid() scheme.SID {
	if c.has != nil {
		return c.has.sid
	}
	return c.arriving().instead
}
