using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;

namespace Moe.Plugins;

/// <summary>A connection that carries frames, with a thread that reads and one that writes: nobody who sends waits for a slow receiver.</summary>
internal sealed class FrameConnection : IDisposable
{
    private const int CopiedBytes = 1 << 16;

    private readonly Socket _socket;
    private readonly NetworkStream _stream;
    private readonly BlockingCollection<Frame> _outgoing = [];
    private int _mostBytes;

    /// <param name="socket">Connected; this closes it.</param>
    /// <param name="mostBytes">The longest payload that is taken from the other end, before <see cref="Trust"/>.</param>
    public FrameConnection(Socket socket, int mostBytes)
    {
        if (socket.AddressFamily != AddressFamily.Unix)
        {
            socket.NoDelay = true;
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 10);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 5);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 4);
        }

        _socket = socket;
        _stream = new NetworkStream(socket, ownsSocket: true);
        _mostBytes = mostBytes;
    }

    /// <summary>Begins to read and write.</summary>
    /// <param name="received">Called for each frame, on the reading thread.</param>
    /// <param name="closed">Called once, when nothing comes any more, on the same thread.</param>
    public void Start(Action<Frame> received, Action closed)
    {
        new Thread(() => Read(received, closed)) { IsBackground = true, Name = "Moe.Rendezvous reads" }.Start();
        new Thread(Write) { IsBackground = true, Name = "Moe.Rendezvous writes" }.Start();
    }

    /// <summary>Takes frames of any length from now on: the other end is one of the group.</summary>
    public void Trust() => Volatile.Write(ref _mostBytes, int.MaxValue - Frame.HeaderBytes);

    /// <summary>Sends a frame behind those before it. On a closed connection nothing happens.</summary>
    public void Send(FrameKind kind, ReadOnlyMemory<byte> payload = default, int rank = 0)
    {
        try
        {
            _outgoing.Add(new Frame(kind, rank, payload));
        }
        catch (InvalidOperationException)
        {
            // Closed.
        }
    }

    /// <summary>Closes the connection once all is sent.</summary>
    public void Finish() => _outgoing.CompleteAdding();

    /// <summary>Closes the connection at once.</summary>
    public void Dispose()
    {
        _outgoing.CompleteAdding();
        _stream.Dispose();
    }

    private void Read(Action<Frame> received, Action closed)
    {
        try
        {
            byte[] header = new byte[Frame.HeaderBytes];
            while (true)
            {
                _stream.ReadExactly(header);
                int length = BinaryPrimitives.ReadInt32LittleEndian(header);
                if (length < 0 || length > Volatile.Read(ref _mostBytes))
                {
                    break;
                }

                byte[] payload = new byte[length];
                _stream.ReadExactly(payload);
                received(new Frame((FrameKind)header[4], BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(5)), payload));
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException or MoeException)
        {
            // The other end has gone, or this one; or it sends what is none of ours.
        }

        Dispose();
        closed();
    }

    private void Write()
    {
        try
        {
            byte[] whole = new byte[Frame.HeaderBytes + CopiedBytes];
            foreach (Frame frame in _outgoing.GetConsumingEnumerable())
            {
                BinaryPrimitives.WriteInt32LittleEndian(whole, frame.Payload.Length);
                whole[4] = (byte)frame.Kind;
                BinaryPrimitives.WriteInt32LittleEndian(whole.AsSpan(5), frame.Rank);
                int copied = Math.Min(CopiedBytes, frame.Payload.Length);
                frame.Payload.Span[..copied].CopyTo(whole.AsSpan(Frame.HeaderBytes));
                _stream.Write(whole, 0, Frame.HeaderBytes + copied);
                if (copied < frame.Payload.Length)
                {
                    _stream.Write(frame.Payload.Span[copied..]);
                }
            }

            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception exception) when (exception is IOException or SocketException or ObjectDisposedException)
        {
            // The reading thread sees it too, and says so.
            _stream.Dispose();
        }
    }
}
