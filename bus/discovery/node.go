package discovery

import (
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/scheme"
)

// NodeInfo is what a node tells about itself.
type NodeInfo struct {
	// ID is the node id.
	ID scheme.NodeID
	// Service is the name that clients call the edge by ("hydra-router"), the
	// same for all nodes.
	Service scheme.Service
	Version string
}

// Node is a node's registration with NATS' service discovery.
type Node struct{ micro micro.Service }

// RegisterNode makes a node known: `nats micro ls` shows it, and so does
// [Discovery]. It has one endpoint, on NodeSubject, whose handler is orders: it
// runs on a NATS goroutine and must only enqueue.
func RegisterNode(nc *nats.Conn, info NodeInfo, orders func(m micro.Request)) (*Node, error) {
	m, err := micro.AddService(nc, micro.Config{
		Name: string(info.Service), Version: info.Version, Description: "Hydrant edge node",
		Metadata: scheme.Metadata(scheme.KindNode, string(info.ID)),
	})
	if err != nil {
		return nil, fmt.Errorf("bus: node: %w", err)
	}
	err = m.AddEndpoint("node", micro.HandlerFunc(orders),
		micro.WithEndpointSubject(scheme.NodeSubject(info.ID)), micro.WithEndpointQueueGroupDisabled())
	if err != nil {
		_ = m.Stop() // the first error says more
		return nil, fmt.Errorf("bus: node: %w", err)
	}
	return &Node{micro: m}, nil
}

// Unregister removes the node from discovery.
func (n *Node) Unregister() error {
	if err := n.micro.Stop(); err != nil {
		return fmt.Errorf("bus: node: %w", err)
	}
	return nil
}
