package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cluster"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/lint"
)

// inCluster is the mesh of a cluster.
type inCluster struct {
	*cluster.Cluster
	admin *cluster.Admin
}

func dialCluster(config cluster.Config) (*client, error) {
	opened, err := cluster.Open(config)
	if err != nil {
		return nil, err
	}
	admin, err := opened.Admin()
	if err != nil {
		return nil, err
	}
	return &client{admin, &inCluster{opened, admin}}, nil
}

func (i *inCluster) close() { _ = i.admin.Close() }

func (i *inCluster) defaultNamespace() string { return i.Namespace() }

// returns: what a person has to see to does not go away by itself; a connection that broke may.
func (i *inCluster) returns() bool {
	_, problem := errors.AsType[*cluster.Error](i.admin.Failure())
	return !problem
}

func (i *inCluster) absent() error {
	err := i.admin.Failure()
	if _, problem := errors.AsType[*cluster.Error](err); problem {
		return err
	}
	if err == nil {
		err = errors.New("it ended")
	}
	return fmt.Errorf("the connection to the controller: %w: try again; `kubectl get pods -A -l app.kubernetes.io/name=wasmesh` shows whether it is ready", err)
}

// server is a pod behind the Service: any takes the request.
func (i *inCluster) server(ctx context.Context, _ *client, asked serverQuery) (server, error) {
	port := cluster.PortREST
	if asked.grpc {
		port = cluster.PortGRPC
	}
	pod, err := i.ServicePod(ctx, asked.namespace, asked.service, port)
	if err != nil {
		return server{}, err
	}
	return server{
		// What the certificate of a mesh is for, as ModelMesh has it.
		address: fmt.Sprintf("%s.%s:%d", asked.service, asked.namespace, pod.Port),
		dial:    func(ctx context.Context) (net.Conn, error) { return i.Dial(ctx, pod) },
	}, nil
}

func (*inCluster) removal(policy *corev1.ConfigMap, _ string) string {
	return "kubectl delete configmap " + policy.Name + " -n " + policy.Namespace
}

// obstacles are what `wasmesh lint` says of the object, and that its namespace has no mesh.
func (i *inCluster) obstacles(ctx context.Context, of reference, object string) (lines []string) {
	for _, f := range lint.Check([]lint.File{{Content: []byte(object)}}).Findings {
		lines = append(lines, string(f.Level)+": "+f.Message)
	}
	if problem := i.NoMesh(ctx, of.namespace); problem != nil {
		lines = append(lines, problem.Error())
	}
	return lines
}

func (i *inCluster) policyNamespace(ctx context.Context) (string, error) {
	return i.PolicyNamespace(ctx)
}

func (i *inCluster) putPolicy(ctx context.Context, policy *corev1.ConfigMap, _ []byte) (where string, changed bool, err error) {
	changed, err = i.PutConfigMap(ctx, policy, author.LabelPolicy)
	return "namespace " + policy.Namespace + " of the cluster", changed, err
}
