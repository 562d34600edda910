package scheme

// Subjects of JetStream's own that are used, less the names at their ends.
const (
	APIPrefix         = "$JS.API."
	APIMsgGet         = APIPrefix + "STREAM.MSG.GET."
	APIStreamInfo     = APIPrefix + "STREAM.INFO."
	APIStreamCreate   = APIPrefix + "STREAM.CREATE."
	APIStreamUpdate   = APIPrefix + "STREAM.UPDATE."
	APIDirectGet      = APIPrefix + "DIRECT.GET."
	APIConsumerCreate = APIPrefix + "CONSUMER.CREATE."
	APIConsumerNames  = APIPrefix + "CONSUMER.NAMES."

	// EdgeAPIPrefix is where a service in an account of its own finds the part of the
	// API that it may use: in that account $JS.API is the account's own.
	EdgeAPIPrefix = "JS.EDGE."

	apiStreamNames    = APIPrefix + "STREAM.NAMES"
	apiConsumerDelete = APIPrefix + "CONSUMER.DELETE."

	apiConsumerInfo = "CONSUMER.INFO."
	apiConsumerNext = "CONSUMER.MSG.NEXT."

	AckPrefix      = "$JS.ACK."
	AdvisoryLeader = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
)

// WorkInfoSubject asks, in the API of this prefix, for the consumer of a service's work
// queue.
func WorkInfoSubject(api string, service Service) string {
	return api + apiConsumerInfo + WorkStream + "." + string(service)
}

// CreateWorkConsumer makes that consumer.
func CreateWorkConsumer(service Service) string {
	return APIConsumerCreate + WorkStream + "." + string(service) + "." + WorkSubject(service)
}

// WorkNextSubject asks that consumer for messages.
func WorkNextSubject(api string, service Service) string {
	return api + apiConsumerNext + WorkStream + "." + string(service)
}
