// Package schema reads files of deploy/ with the code of the programs that
// they are for, strictly, so that a misspelled field fails: the chart with
// Helm's renderer and linter and Kubernetes' types and schemas, docker-compose.yml
// with the loader of Compose v2, envoy.yaml with Envoy's own messages and their
// rules. What the chart renders is also run: its job and a node, on a NATS server with
// its config map. It is a module of its own, so that the product depends on none of them.
//
// # Design
//
// Kubernetes' Go types, read strictly, refuse fields that are none and values of another
// type, for all kinds that the chart has. Its OpenAPI documents, which client-go carries
// for pods, deployments and jobs, say what is required besides. Rejected: kubectl-validate,
// which has the documents of all groups. It takes fifty modules more, and minutes to
// compile; it ends with Kubernetes 1.30, and knows no field that the types do not know.
package schema
