package edge

import (
	"context"
	"slices"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/config"
)

// Work queues that a node registers: those of EDGE_QUEUE_SERVICES, which the look at the
// store sees to (see storeCheck), and, with NATS inside, those of services that say that
// they take from one. These wait for it at their start.
const (
	queuesEvery = time.Second
	queuesTime  = 5 * time.Second
)

// services are those of a setting.
func services(setting []config.Service) []scheme.Service {
	list := make([]scheme.Service, len(setting))
	for i, s := range setting {
		list[i] = scheme.Service(s)
	}
	return list
}

// keepQueues registers the work queues, so that the first client finds them, and goes on
// with what is found by and by.
func (n *Node) keepQueues(l *uplink) {
	ctx, cancel := context.WithTimeout(n.ctx, queuesTime)
	defer cancel()
	if err := l.store.Queues().Keep(ctx, services(n.cfg.QueueServices)); err != nil {
		n.log.Warn("work queues", "error", err)
	}
	if l.store.Queues().TakesAny() {
		n.nats.contract.look() // which ends that
	}
	if n.nats.start != nil {
		n.background.Go(n.findQueues)
	}
}

// findQueues registers the queues of services that are found until the node stops.
func (n *Node) findQueues() {
	for pause(n.ctx, queuesEvery) == nil {
		ctx, cancel := context.WithTimeout(n.ctx, queuesTime)
		l := n.nats.link.Load()
		found, err := l.discovery.Queues(ctx, time.Now())
		if err == nil { // those that are known are there, or will be missed in some seconds
			err = l.store.Queues().Keep(ctx, slices.DeleteFunc(found, l.store.Queues().Known))
		}
		cancel()
		if err != nil {
			n.log.Debug("work queues of services that run", "error", err) // and again in a moment
		}
	}
}
