package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/scheme"
)

// NodeInfo is what an edge node tells of itself.
type NodeInfo struct {
	// ID is the node id.
	ID scheme.NodeID
	// Service is the name that clients call the edge by ("hydra-router"), the
	// same for all nodes.
	Service scheme.Service
	Version string
	// IP and Port are where clients reach it; "": it is not known.
	IP, Port string
	// Data is what it tells of its health, for [Discovery.Vitals]; nil: nothing.
	Data func() any
}

// Node is a node's registration. Its methods may be called concurrently.
type Node struct {
	// Immutable after RegisterNode.
	info    micro.Info
	data    func() any // nil: nothing
	nc      *nats.Conn
	started time.Time
	subs    []*nats.Subscription
}

// RegisterNode makes a node known to NATS' service discovery and so to
// [Discovery]. It has one endpoint, on NodeSubject, where orders gets what comes: it
// is a NATS callback and must not wait.
//
// It answers discovery as package micro does, but to inboxes only. An answer goes out
// with a node's rights, wherever the question wants it: micro's would overwrite the
// entry of a session for who names that as the reply subject.
func RegisterNode(nc *nats.Conn, info NodeInfo, orders func(reply string, data []byte)) (*Node, error) {
	subject := scheme.NodeSubject(info.ID)
	metadata := scheme.Metadata(scheme.KindNode, string(info.ID))
	metadata[scheme.MetaIP], metadata[scheme.MetaPort] = info.IP, info.Port
	n := &Node{nc: nc, data: info.Data, started: time.Now().UTC(), info: micro.Info{
		ServiceIdentity: micro.ServiceIdentity{
			Name: string(info.Service), ID: string(info.ID), Version: info.Version, Metadata: metadata,
		},
		Type: micro.InfoResponseType, Description: "Hydrant edge node",
		Endpoints: []micro.EndpointInfo{{Name: "node", Subject: subject}},
	}}
	err := n.listen(subject, func(m *nats.Msg) { orders(m.Reply, m.Data) })
	for verb, answer := range map[micro.Verb]func() any{micro.PingVerb: n.ping, micro.InfoVerb: n.inform, micro.StatsVerb: n.stats} {
		at := micro.APIPrefix + "." + verb.String()
		for _, subject := range []string{at, at + "." + n.info.Name, at + "." + n.info.Name + "." + n.info.ID} {
			if err == nil {
				err = n.listen(subject, func(m *nats.Msg) { n.answer(m.Reply, answer()) })
			}
		}
	}
	if err != nil {
		_ = n.Unregister() // the first error says more
		return nil, fmt.Errorf("bus: node: %w", err)
	}
	return n, nil
}

func (n *Node) listen(subject string, take nats.MsgHandler) error {
	sub, err := n.nc.Subscribe(subject, take)
	if err == nil {
		n.subs = append(n.subs, sub)
	}
	return err
}

// answer answers who asks from an inbox. That it does not come is what the other one
// sees.
func (n *Node) answer(reply string, with any) {
	if !scheme.IsInbox(reply) {
		return
	}
	if text, err := json.Marshal(with); err == nil {
		_ = n.nc.Publish(reply, text)
	}
}

func (n *Node) ping() any {
	return micro.Ping{ServiceIdentity: n.info.ServiceIdentity, Type: micro.PingResponseType}
}

func (n *Node) inform() any { return n.info }

func (n *Node) stats() any {
	endpoint := micro.EndpointStats{Name: n.info.Endpoints[0].Name, Subject: n.info.Endpoints[0].Subject}
	if n.data != nil {
		if text, err := json.Marshal(n.data()); err == nil {
			endpoint.Data = text
		}
	}
	return micro.Stats{
		ServiceIdentity: n.info.ServiceIdentity, Type: micro.StatsResponseType, Started: n.started,
		Endpoints: []*micro.EndpointStats{&endpoint},
	}
}

// Unregister takes the node out of discovery, which a node that drains does first.
func (n *Node) Unregister() error {
	var errs []error
	for _, sub := range n.subs {
		if err := sub.Unsubscribe(); err != nil {
			errs = append(errs, fmt.Errorf("bus: node: %w", err))
		}
	}
	return errors.Join(errs...)
}
