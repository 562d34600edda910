package jet

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
)

// WorkAckWait is the time that a service has to say that it is at work.
const WorkAckWait = 30 * time.Second

// WorkConsumer is the consumer of a service's work queue. That it exists says that the
// queue is registered.
func WorkConsumer(service scheme.Service) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       string(service),
		FilterSubject: scheme.WorkSubject(service),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       WorkAckWait,
		MaxDeliver:    -1, // the kit counts: the server would leave the message in the queue for ever
		MaxAckPending: 10_000,
	}
}
