package scheme

// Permissions are the subjects that a NATS user may publish and subscribe to;
// the server denies everything else.
type Permissions struct {
	Publish, Subscribe []string
	// Responses is how often it may answer one request, wherever that wants its
	// answers (allow_responses of nats-server).
	Responses int
}

// NodePermissions is all that the user of edge nodes with this number of
// mailbox streams needs: the scheme's subjects, the part of the JetStream API
// that manages and reads the store's streams, and service discovery. It names
// each stream, since NATS compares whole tokens and a wildcard would open the
// streams of others. deploy/nats/edge.conf is written from it.
func NodePermissions(streams int) Permissions {
	p := Permissions{
		Publish: []string{
			PrefixService + "*", PrefixInstance + "*.*", PrefixOut + "*.*", PrefixWork + "*",
			PrefixNode + "*", PrefixEvent + "*.*.*",
			PrefixReply + "*.*.*.*", // CheckContract's probe
			SessionKeyPrefix + "*", PrefixExpiry + "*.*",
			"$SRV.INFO",
			APIPrefix + "INFO",
		},
		Subscribe: []string{
			PrefixLive + "*.*", PrefixGone + "*.*", PrefixReply + "*.>", PrefixRequest + "*.>", PrefixNode + "*",
			"$SRV.PING", "$SRV.PING.>", "$SRV.INFO", "$SRV.INFO.>", "$SRV.STATS", "$SRV.STATS.>",
			"_INBOX.>", AdvisoryLeader + "*",
		},
		Responses: 1, // to other nodes and to discovery
	}
	for _, stream := range StreamNames(streams) {
		p.Publish = append(p.Publish,
			APIStreamInfo+stream, APIPrefix+"STREAM.CREATE."+stream, APIPrefix+"STREAM.UPDATE."+stream)
		switch stream {
		case WorkStream, ExpiryStream: // nodes only write to them
		case SessionStream:
			p.Publish = append(p.Publish, APIMsgGet+stream, APIDirectGet+stream, APIDirectGet+stream+".>")
		default:
			p.Publish = append(p.Publish, APIMsgGet+stream, APIDirectGet+stream)
		}
	}
	return p
}

// ServicePermissions is all that the user of a service needs. It can reach
// every session, which is what a service is for; of other services it can
// neither take nor send messages.
func ServicePermissions(service Service) Permissions {
	name := string(service)
	return Permissions{
		Publish: []string{
			PrefixOut + "*.*", PrefixLive + "*.*",
			PrefixRequest + "*.*", PrefixReply + ">", "_INBOX.>", // answers
			APIConsumerCreate + WorkStream + "." + name + "." + WorkSubject(service),
			APIConsumerNext + WorkStream + "." + name,
			"$JS.ACK." + WorkStream + "." + name + ".>",
		},
		Subscribe: []string{ServiceSubject(service), PrefixInstance + name + ".*", PrefixEvent + "*.*.*", "$SRV.>", "_INBOX.>"},
	}
}
