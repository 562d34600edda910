package bus

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
// streams of others (FAILURES S29). deploy/nats/edge.conf is written from it.
func NodePermissions(streams int) Permissions {
	p := Permissions{
		Publish: []string{
			prefixService + "*", prefixInst + "*.*", prefixOut + "*.*", prefixWork + "*",
			prefixNode + "*", prefixEvent + "*.*.*",
			prefixReply + "*.*.*.*", // Verify's probe
			sessionKeyPrefix + "*", prefixExpiry + "*.*",
			"$SRV.INFO",
			apiPrefix + "INFO",
		},
		Subscribe: []string{
			prefixLive + "*.*", prefixGone + "*.*", prefixReply + "*.>", prefixRequest + "*.>", prefixNode + "*",
			"$SRV.PING", "$SRV.PING.>", "$SRV.INFO", "$SRV.INFO.>", "$SRV.STATS", "$SRV.STATS.>",
			"_INBOX.>", advisoryLeader + "*",
		},
		Responses: 1, // to other nodes and to discovery
	}
	for _, stream := range streamNames(streams) {
		p.Publish = append(p.Publish,
			apiStreamInfo+stream, apiPrefix+"STREAM.CREATE."+stream, apiPrefix+"STREAM.UPDATE."+stream)
		switch stream {
		case WorkStream, expiryStream: // nodes only write to them
		case sessionStream:
			p.Publish = append(p.Publish, apiMsgGet+stream, apiDirectGet+stream, apiDirectGet+stream+".>")
		default:
			p.Publish = append(p.Publish, apiMsgGet+stream, apiDirectGet+stream,
				apiConsumerCreate+stream+".>", apiConsumerDelete+stream+".*", apiConsumerNext+stream+".*")
		}
	}
	return p
}

// ServicePermissions is all that the user of a service needs. It can reach
// every session, which is what a service is for; of other services it can
// neither take nor send messages.
func ServicePermissions(service string) (Permissions, error) {
	svc, err := ServiceSubject(service)
	if err != nil {
		return Permissions{}, err
	}
	return Permissions{
		Publish: []string{
			prefixOut + "*.*", prefixLive + "*.*",
			prefixRequest + "*.*", prefixReply + ">", "_INBOX.>", // answers
			apiConsumerCreate + WorkStream + "." + service + "." + prefixWork + service,
			apiConsumerNext + WorkStream + "." + service,
			"$JS.ACK." + WorkStream + "." + service + ".>",
		},
		Subscribe: []string{svc, prefixInst + service + ".*", prefixEvent + "*.*.*", "$SRV.>", "_INBOX.>"},
	}, nil
}

// streamNames are the streams of a store.
func streamNames(streams int) []string {
	var names []string
	for i := range streams {
		names = append(names, outStream(i))
	}
	return append(names, sessionStream, expiryStream, WorkStream)
}
