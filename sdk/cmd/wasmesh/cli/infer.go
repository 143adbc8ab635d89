package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

type inferOptions struct {
	file, namespace string
	grpc            bool
}

func newInfer(dataDir *string) *cobra.Command {
	var options inferOptions
	command := &cobra.Command{
		Use:   "infer NAME -f FILE [--grpc]",
		Short: "Send a request to a model and print the answer",
		Long: `infer sends the file as it is to /v2/models/NAME/infer, or, with --grpc, reads it as the JSON form of an
inference.ModelInferRequest, as grpcurl does, and calls ModelInfer.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which model to ask: `wasmesh infer NAME -f FILE`; `wasmesh get isvc` lists names")
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			client, err := dial(*dataDir)
			if err != nil {
				return err
			}
			defer client.close()
			body, err := readRequest(options.file, command.InOrStdin())
			if err != nil {
				return err
			}
			return client.infer(command.Context(), args[0], body, options, command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVarP(&options.file, "filename", "f", "", "file with the request; - is the standard input")
	flags.BoolVar(&options.grpc, "grpc", false, "send it over gRPC")
	flags.StringVarP(&options.namespace, "namespace", "n", defaultNamespace, "namespace")
	_ = command.MarkFlagRequired("filename") // fails only for a flag that does not exist
	return command
}

func readRequest(file string, in io.Reader) (body []byte, err error) {
	if file == "-" {
		body, err = io.ReadAll(in)
	} else {
		body, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return body, nil
}

func (c *client) infer(ctx context.Context, name string, body []byte, options inferOptions, out io.Writer) error {
	var hosts []*host
	err := c.patiently(ctx, func() error {
		able, others, err := c.hostsFor(ctx, options.namespace, name)
		// A host that cannot hold the model says best what is the matter with it.
		if hosts = append(able, others...); err == nil && len(hosts) == 0 {
			return errNoHost
		}
		return err
	})
	if errors.Is(err, errNoHost) {
		return fmt.Errorf("no host of namespace %s is connected: see `wasmesh get hosts`, and the logs in %s",
			options.namespace, filepath.Join(c.dataDir, "logs"))
	}
	if err != nil {
		return c.explain(err)
	}
	if options.grpc {
		return inferGRPC(ctx, hosts[0].GetHello().GetGrpcAddress(), name, body, out)
	}
	return inferREST(ctx, hosts[0].GetHello().GetRestAddress(), name, body, out)
}

// hostsFor answers the connected hosts of the namespace: first those whose runtime may hold what the name stands for now,
// then what it shall stand for, the runtimes in their order of preference; and the others apart.
func (c *client) hostsFor(ctx context.Context, namespace, name string) (able, others []*host, err error) {
	list, err := c.ListHosts(ctx, &adminv1.ListHostsRequest{})
	if err != nil {
		return nil, nil, err
	}
	answer, err := c.ListModels(ctx, &adminv1.ListModelsRequest{Namespace: namespace, Alias: name})
	if err != nil {
		return nil, nil, err
	}
	var runtimes []string
	for _, m := range append(keep(answer.GetModels(), (*model).GetActive), answer.GetModels()...) {
		runtimes = append(runtimes, m.GetModel().GetRuntimes()...)
	}
	connected := keep(list.GetHosts(), func(h *host) bool { return h.GetConnected() && h.GetHello().GetNamespace() == namespace })
	// A host that leaves answers as long as it can, but another is the better choice.
	slices.SortStableFunc(connected, func(a, b *host) int { return leaving(a) - leaving(b) })
	preference := func(h *host) int { return slices.Index(runtimes, h.GetHello().GetRuntime()) }
	able = keep(connected, func(h *host) bool { return preference(h) >= 0 })
	others = keep(connected, func(h *host) bool { return preference(h) < 0 })
	slices.SortStableFunc(able, func(a, b *host) int {
		return cmp.Or(leaving(a)-leaving(b), preference(a)-preference(b))
	})
	return able, others, nil
}

// leaving orders hosts by whether they are about to go.
func leaving(h *host) int {
	if h.GetDraining() != nil {
		return 1
	}
	return 0
}

func inferREST(ctx context.Context, address, name string, body []byte, out io.Writer) error {
	target := url.URL{Scheme: "http", Host: address, Path: "/v2/models/" + name + "/infer"}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(answer))
	}
	_, err = fmt.Fprintf(out, "%s\n", bytes.TrimSpace(answer))
	return err
}

func inferGRPC(ctx context.Context, address, name string, body []byte, out io.Writer) error {
	var request inference.ModelInferRequest
	if err := protojson.Unmarshal(body, &request); err != nil {
		return fmt.Errorf("the file is not the JSON form of inference.ModelInferRequest: %w", err)
	}
	request.ModelName = name
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))) // the mesh bounds answers
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	defer conn.Close()
	response, err := inference.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, &request)
	if err != nil {
		s, _ := status.FromError(err)
		return fmt.Errorf("%s: %s", s.Code(), s.Message())
	}
	content, err := protojson.MarshalOptions{Multiline: true, Indent: "  "}.Marshal(response)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", content)
	return err
}
