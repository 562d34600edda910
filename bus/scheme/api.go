package scheme

// Subjects of JetStream's own that nodes use, less the names at their ends.
const (
	APIPrefix         = "$JS.API."
	APIMsgGet         = APIPrefix + "STREAM.MSG.GET."
	APIStreamInfo     = APIPrefix + "STREAM.INFO."
	APIDirectGet      = APIPrefix + "DIRECT.GET."
	APIConsumerCreate = APIPrefix + "CONSUMER.CREATE."
	APIConsumerNext   = APIPrefix + "CONSUMER.MSG.NEXT."

	AdvisoryLeader = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
)
