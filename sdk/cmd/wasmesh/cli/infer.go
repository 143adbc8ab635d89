package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/spf13/cobra"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

type inferOptions struct {
	file string
	serverQuery
	tls tlsOptions
}

// serverQuery is what is asked for: a model, and how.
type serverQuery struct {
	name, namespace string
	// service is the name of the mesh's Service in a cluster.
	service string
	grpc    bool
}

// server answers requests.
type server struct {
	address string
	// dial connects to it where its address alone does not say how; nil where it does.
	dial func(context.Context) (net.Conn, error)
	// tls is nil when it is spoken to in plain.
	tls *tls.Config
}

func newInfer(where *target) *cobra.Command {
	var options inferOptions
	command := &cobra.Command{
		Use:   "infer NAME -f FILE [--grpc]",
		Short: "Send a request to a model and print the answer",
		Long: `infer sends the file as it is to /v2/models/NAME/infer, or, with --grpc, reads it as the JSON form of an
inference.ModelInferRequest, as grpcurl does, and calls ModelInfer. In a cluster it goes to a pod behind the Service of the
namespace's mesh, through a forwarded port.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which model to ask: `wasmesh infer NAME -f FILE`; `wasmesh get isvc` lists names")
			}
			return nil
		},
		// cobra looks for required flags after this, and says less.
		PreRunE: func(command *cobra.Command, args []string) error {
			if !command.Flags().Changed("filename") {
				return fmt.Errorf("say which request to send: `wasmesh infer %s -f FILE`; -f - reads it from the standard input", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			body, err := readRequest(options.file, command.InOrStdin())
			if err != nil {
				return err
			}
			options.name, options.namespace = args[0], client.namespaceOr(options.namespace)
			return client.infer(command.Context(), body, options, command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVarP(&options.file, "filename", "f", "", "file with the request; - is the standard input")
	flags.BoolVar(&options.grpc, "grpc", false, "send it over gRPC")
	addNamespace(flags, &options.namespace)
	flags.StringVar(&options.service, "service", "modelmesh-serving", "name of the mesh's Service in a cluster (inferenceServiceName in model-serving-config)")
	options.tls.addFlags(flags)
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

func (c *client) infer(ctx context.Context, body []byte, options inferOptions, out io.Writer) error {
	to, err := c.server(ctx, c, options.serverQuery)
	if err != nil {
		return err
	}
	if to.tls, err = options.tls.config(); err != nil {
		return err
	}
	if options.grpc {
		return inferGRPC(ctx, to, options.name, body, out)
	}
	return inferREST(ctx, to, options.name, body, out)
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

func inferREST(ctx context.Context, to server, name string, body []byte, out io.Writer) error {
	target := url.URL{Scheme: "http", Host: to.address, Path: "/v2/models/" + name + "/infer"}
	transport := &http.Transport{TLSClientConfig: to.tls, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	if to.tls != nil {
		target.Scheme = "https"
	}
	if to.dial != nil {
		transport.Proxy = nil // The address is no network's.
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return to.dial(ctx) }
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
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

// grpcOptions are how to connect to a server.
func (to server) grpcOptions() []grpc.DialOption {
	secure := insecure.NewCredentials()
	if to.tls != nil {
		secure = credentials.NewTLS(to.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(secure),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)), // the mesh bounds answers
	}
	if to.dial != nil {
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return to.dial(ctx) }))
	}
	return options
}

func inferGRPC(ctx context.Context, to server, name string, body []byte, out io.Writer) error {
	var request inference.ModelInferRequest
	if err := protojson.Unmarshal(body, &request); err != nil {
		return fmt.Errorf("the file is not the JSON form of inference.ModelInferRequest: %w", err)
	}
	request.ModelName = name
	conn, err := grpc.NewClient("passthrough:///"+to.address, to.grpcOptions()...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", to.address, err)
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
