package mesh

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

// direct is a runtime like those beside the hosts, which is asked without a host. A load and a request, one after the other
// after a rest, is the least that a cold start can take on this machine as it is now.
type direct struct {
	runtime *fake.Server
	conn    *grpc.ClientConn
	file    string
	asked   int
}

func newDirect(dir string, artifact fake.Artifact) (*direct, error) {
	d := &direct{file: filepath.Join(dir, "direct.json")}
	if err := artifact.WriteFile(d.file); err != nil {
		return nil, err
	}
	var err error
	if d.runtime, err = fake.Listen("127.0.0.1:0", fake.Config{Name: "direct"}); err != nil {
		return nil, err
	}
	d.conn, err = grpc.NewClient("passthrough:///"+d.runtime.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		d.runtime.Kill()
		return nil, err
	}
	return d, nil
}

func (d *direct) close() error {
	defer d.runtime.Kill()
	return d.conn.Close()
}

// coldStart answers how much longer a load and a request take than the runtime takes to load.
func (d *direct) coldStart(ctx context.Context) (added time.Duration, err error) {
	d.asked++
	id := fmt.Sprintf("direct-%d", d.asked)
	runtime := mmesh.NewModelRuntimeClient(d.conn)
	load := &mmesh.LoadModelRequest{ModelId: id, ModelType: "mt:fake", ModelPath: d.file}
	began := time.Now()
	if _, err := runtime.LoadModel(ctx, load); err != nil {
		return 0, fmt.Errorf("load directly: %w", err)
	}
	if _, err := inference.NewGRPCInferenceServiceClient(d.conn).ModelInfer(ctx, request(id)); err != nil {
		return 0, fmt.Errorf("ask directly: %w", err)
	}
	took := time.Since(began)
	from, to, _ := d.runtime.LoadSpan(id)
	_, err = runtime.UnloadModel(ctx, &mmesh.UnloadModelRequest{ModelId: id})
	return took - to.Sub(from), err
}
