package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "podium.test/stubs/podium/v1"
)

const helloBytesMax = 1 << 20

// stream is one call of Connect. A reader passes on what comes, a sender has one write in flight;
// what waits for the next frame is in `pending` and `results`.
type stream struct {
	out        chan<- *pb.WorkerFrame // nil once it is half-closed
	cancel     context.CancelFunc
	pending    *pb.WorkerFrame
	results    []*pb.Result
	bytesMax   int
	silenceMax time.Duration
	heard      time.Time
	closing    bool // half-close it once nothing waits
}

// connect gives the stream at once; whether the call comes about is heard like everything else.
func connect(client pb.WorkerServiceClient, events chan<- event) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan *pb.WorkerFrame)
	s := &stream{
		out:        out,
		cancel:     cancel,
		pending:    &pb.WorkerFrame{},
		bytesMax:   helloBytesMax,
		silenceMax: time.Hour,
		heard:      time.Now(),
	}
	go func() {
		call, err := client.Connect(ctx)
		if err == nil {
			go send(ctx, call, out)
		}
		for err == nil {
			var frame *pb.ServerFrame
			if frame, err = call.Recv(); err == nil {
				events <- event{from: s, frame: frame}
			}
		}
		events <- event{from: s, err: err}
	}()
	return s
}

// send writes frames until `out` is closed, which half-closes the call, or the call is over. Of a
// failed write the reader hears the reason.
func send(
	ctx context.Context,
	call grpc.BidiStreamingClient[pb.WorkerFrame, pb.ServerFrame],
	out <-chan *pb.WorkerFrame,
) {
	for {
		select {
		case <-ctx.Done():
			return
		case frame, more := <-out:
			if !more {
				_ = call.CloseSend()
				return
			}
			_ = call.Send(frame)
		}
	}
}

func (s *stream) credit(taskType string, delta int) {
	if delta > 0 {
		s.pending.Credits = append(
			s.pending.Credits, &pb.Credit{TaskType: taskType, Delta: int32(delta)})
	}
}

// next is the frame to send: all that waits, as far as it fits; nil = nothing waits. When nothing
// waits any more, a stream that is closing is half-closed.
func (s *stream) next() *pb.WorkerFrame {
	if s.out == nil {
		return nil
	}
	s.pending.Results = nil
	size := proto.Size(s.pending)
	for index, result := range s.results {
		size += proto.Size(result) + 16
		if size > s.bytesMax && index > 0 {
			break
		}
		s.pending.Results = s.results[: index+1 : index+1]
	}
	if size > 0 {
		return s.pending
	}
	if s.closing {
		close(s.out)
		s.out = nil
	}
	return nil
}

// sent: the frame of next is on its way.
func (s *stream) sent() {
	s.results = s.results[len(s.pending.Results):]
	s.pending = &pb.WorkerFrame{}
}
