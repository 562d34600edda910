package shard

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// route decides over one message of a client, as the documentation of package
// protocol has it. p is borrowed from the connection layer.
func (c *Client) route(p []byte) {
	s := c.s
	e := &s.envelope
	s.size = len(p)
	err := umf.Scan(p, e)
	if err == nil {
		err = e.Check()
	}
	if err != nil {
		c.took(stats.InInvalid)
		c.refuse(nil, protocol.CodeInvalid, fmt.Sprintf("HR: Invalid UMF message: %s closing connection", protocol.Quote(p)))
		return
	}
	if !c.checkSignature(e) {
		return
	}
	c.routeChecked(e)
}

// routeChecked goes on with a message that is what its sender has signed, if messages
// are signed.
func (c *Client) routeChecked(e *umf.Envelope) {
	s := c.s
	n := s.node
	if len(e.Raw(umf.Mid)) > scheme.MaxMid || len(e.Raw(umf.From)) > umf.MaxAddress {
		c.took(stats.InInvalid)
		c.fail(e.Raw(umf.Mid), protocol.CodeInvalid, "mid or from is too long") // they are kept until there is an answer
		return
	}
	if !c.checkSender(e) {
		return
	}
	var buf [128]byte
	text, _ := e.Text(umf.To, buf[:0])
	to, err := umf.ParseAddress(text)
	if err != nil {
		c.took(stats.InBadAddress)
		c.fail(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid to address")
		return
	}
	switch to.Service {
	case n.Config.ServiceName:
		s.served.Add(to.Service, s.loop.Now())
		c.routeRouter(e, to)
	case scheme.ClientService:
		c.has.used = true
		c.deliver(e, e.Raw(umf.To), to.Instance, false)
	default:
		c.has.used = true
		c.routeService(e, nil, to)
	}
}

// took counts the message that is being handled.
func (c *Client) took(kind stats.Received) { c.s.tally.In[kind].Add(c.s.size) }

// checkSender refuses what would make a receiver take the message for another's, or
// for another message. The connection stays: it may be a mistake.
func (c *Client) checkSender(e *umf.Envelope) bool {
	n := c.s.node
	fault := protocol.CheckSender(e, n.Config.ServiceName, n.Signatures != nil)
	if fault == nil {
		return true
	}
	c.took(stats.InInvalid)
	c.fail(e.Raw(umf.Mid), fault.Code, fault.Text)
	return false
}

// routeRouter handles messages for the edge itself.
func (c *Client) routeRouter(e *umf.Envelope, to umf.Address) {
	n := c.s.node
	if _, sid, ok := to.Via(); ok {
		c.has.used = true
		c.deliver(e, e.Raw(umf.To), sid, false)
		return
	}
	if to.Method != "" {
		c.took(stats.InAPI)
		c.routerAPI(e, to)
		return
	}
	var buf [64]byte
	typ, _ := e.Text(umf.Type, buf[:0])
	switch string(typ) {
	case protocol.TypeAck:
		c.took(stats.InAck)
		c.acknowledge(e)
	case protocol.TypePing:
		c.took(stats.InPing)
		c.pong(e)
	case protocol.TypeLog:
		c.took(stats.InLog)
		n.ClientLog.Add(c.has.sid.Short(), c.addr(), e.Raw(umf.Body))
	case protocol.TypeLocate:
		c.took(stats.InWsdir)
		c.locate(e)
	case protocol.TypeReconnect, protocol.TypeReconnection:
		c.took(stats.InResume)
		c.resume(e)
	default:
		if string(typ) == protocol.TypeAuth && c.renews() && e.Falsy(umf.Forward) {
			c.took(stats.InAuth)
			c.renew(e)
			return
		}
		if e.Falsy(umf.Forward) {
			c.took(stats.InUnrecognized)
			c.refuse(e.Raw(umf.Mid), protocol.CodeUnrecognized, "Unrecognized Hydra Router request")
			return
		}
		c.forward(e, to)
	}
}

// forward handles messages to the router that name another receiver.
func (c *Client) forward(e *umf.Envelope, to umf.Address) {
	n := c.s.node
	c.has.used = true
	var buf [128]byte
	text, _ := e.Text(umf.Forward, buf[:0])
	target, err := umf.ParseAddress(text)
	switch {
	case err != nil:
		c.refuse(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid forward address")
	case target.Service == scheme.ClientService:
		c.deliver(e, e.Raw(umf.Forward), target.Instance, true)
	case target.Service == n.Config.ServiceName:
		c.fail(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid forward address")
	case to.Path == "/queue":
		c.enqueue(e, target)
	default:
		c.routeService(e, e.Raw(umf.Forward), target)
	}
}

// routeService sends a message to a service: at most once, over core NATS. to
// replaces the address when the message was forwarded.
func (c *Client) routeService(e *umf.Envelope, to []byte, address umf.Address) {
	s := c.s
	subject, err := scheme.AddressSubject(address.Service, address.Instance)
	if err != nil {
		c.took(stats.InBadAddress)
		c.fail(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid to address")
		return
	}
	if !c.mayReach(e, address) {
		return
	}
	s.served.Add(address.Service, s.loop.Now())
	f := c.completeForService(e)
	if to != nil {
		f.Set(umf.To, to)
	} else {
		to = e.Raw(umf.To)
	}
	data, ok := c.admit(e, &f)
	if !ok {
		return
	}
	if address.Method != "" {
		c.took(stats.InRequest)
		c.request(e, f.Mid, to, subject, address.Service, data)
		return
	}
	c.took(stats.InService)
	reply, err := scheme.ReplySubject(s.node.ID, c.has.sid, string(f.Mid))
	if err != nil {
		panic(err) // the names are this node's own, and mid was measured
	}
	header, span := s.node.Tracing.frame(stats.InService, address.Service, c.has.sid, e, c.has.serviceHeader())
	op := egress.Op{Kind: stats.OpPublish, Subject: subject, Reply: reply, Header: header, Data: data, Span: span, At: s.uptime()}
	if c.wantsAccepted(e) {
		op.Proved, op.Done = true, s.proveTo(c.has.sid, string(f.Mid))
	} else {
		op.Done = s.reportTo(c.has.sid, append([]byte(nil), f.Mid...), false)
	}
	s.out.Push(op)
}

// completeForService begins what goes to a service: with the way back to the
// session, and without headers that only a node may write.
func (c *Client) completeForService(e *umf.Envelope) protocol.Completion {
	s := c.s
	f := protocol.Complete(e, s.loop.Now())
	s.text = c.has.appendVia(s.text[:0])
	via := len(s.text)
	if headers := e.Raw(umf.Headers); protocol.ReservedFromClients.In(headers) {
		s.text = protocol.ReservedFromClients.AppendHeaders(s.text, headers, nil)
		f.Set(umf.Headers, s.text[via:])
	}
	f.Set(umf.Via, s.text[:via])
	return f
}

// admit builds the text that goes to NATS, within the bounds of the way there.
func (c *Client) admit(e *umf.Envelope, f *protocol.Completion) ([]byte, bool) {
	s := c.s
	n := s.node
	if !n.Connected.Load() {
		c.fail(f.Mid, protocol.CodeUnavailable, "Messaging is unavailable")
		return nil, false
	}
	s.buf = e.AppendShort(s.buf[:0], f.Sets()...)
	if int64(len(s.buf)) > n.MaxPayload.Load() {
		c.fail(f.Mid, protocol.CodeTooLarge, "Message is too large")
		return nil, false
	}
	if !s.out.Room(len(s.buf)) {
		n.Metrics.OutboxFull.Inc()
		c.fail(f.Mid, protocol.CodeOverload, "Messaging is overloaded")
		return nil, false
	}
	if s.out.Strained() {
		s.holdBack(c)
	}
	return append(make([]byte, 0, len(s.buf)), s.buf...), true
}

// appendVia appends the address by which a receiver reaches this session, as JSON.
func (h *held) appendVia(dst []byte) []byte {
	n := h.s.node
	return protocol.AppendVia(dst, string(n.ID), string(h.sid), n.Config.ServiceName)
}

// appendSender appends headers, raw JSON or empty, that tell another client who
// really sent a message.
func (h *held) appendSender(dst, headers []byte) []byte {
	w := h.talks()
	if w.client == nil {
		w.client = protocol.AppendSender(nil, string(h.sid), h.owner.Entry().Identity)
	}
	return protocol.ReservedFromClients.AppendHeaders(dst, headers, w.client)
}

// serviceHeader says who really sent a message to a service.
func (h *held) serviceHeader() nats.Header {
	w := h.talks()
	if w.service == nil {
		w.service = nats.Header{scheme.HeaderSession: {string(h.sid)}, scheme.HeaderMailbox: {scheme.MailboxSubject(h.sid)}}
		if identity := h.owner.Entry().Identity; identity != "" {
			w.service[scheme.HeaderIdentity] = []string{identity}
		}
	}
	return w.service
}
