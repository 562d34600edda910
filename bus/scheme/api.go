package scheme

// The part of the JetStream API that is asked directly. nats.go's jetstream
// package creates streams here, and nothing else: it reads messages from
// whichever replica answers, but a message's absence is proved by the stream's
// leader only, and it has no consumers without a goroutine and a subscription
// of their own.
const (
	APIPrefix         = "$JS.API."
	APIMsgGet         = APIPrefix + "STREAM.MSG.GET."
	APIStreamInfo     = APIPrefix + "STREAM.INFO."
	APIDirectGet      = APIPrefix + "DIRECT.GET."
	APIConsumerCreate = APIPrefix + "CONSUMER.CREATE."
	APIConsumerDelete = APIPrefix + "CONSUMER.DELETE."
	APIConsumerNext   = APIPrefix + "CONSUMER.MSG.NEXT."

	AdvisoryLeader = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
)
