namespace Moe.Plugins.Tests;

/// <summary>
/// A member whose gatherings begin over NaN, so that a row that does not come is seen; or one of a group that knows nothing of tokens' experts, as those of a
/// contract before it are.
/// </summary>
internal sealed class ForgetfulMember : IMoeCommunicator, IDisposable
{
    private readonly IMoeCommunicator _member;
    private readonly bool _knowsExperts;
    private readonly MoeBuffer _nan;
    private readonly MoeBuffer _found;

    /// <summary>Allocates: before any rank waits.</summary>
    public ForgetfulMember(IMoeCommunicator member, bool knowsExperts)
    {
        _member = member;
        _knowsExperts = knowsExperts;
        _nan = new MoeBuffer(member.Memory, member.Request.ElementType, member.Request.MaxTokens, member.Request.Width);
        _nan.Fill(0xFF);
        _found = MoeBuffer.OnHost(member.Request.ElementType, member.Request.MaxTokens, member.Request.Width);
    }

    /// <summary>Rows that did not come.</summary>
    public int Missing { get; private set; }

    public int Rank => _member.Rank;

    public int Count => _member.Count;

    public MoeDevice Device => _member.Device;

    public IMoeMemory Memory => _member.Memory;

    public MoeException? Failure => _member.Failure;

    public MoeGroupRequest Request => _member.Request;

    public bool GainsByRouting(int rows, int topK, int tensorCount) => _knowsExperts;

    public MoePartial LendPartial(int rows) => _member.LendPartial(rows);

    public void AllReduce(MoeReduceArguments arguments) => _member.AllReduce(arguments);

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments) => _member.ReduceAddNorm(arguments);

    public unsafe void AllGather(MoeGatherArguments arguments)
    {
        MoeTensorView output = arguments.Output;
        Memory.Copy2D(output.Address, output.RowStride, _nan.View.Address, _nan.View.RowStride, output.RowBytes, output.Rows, arguments.Stream);
        _member.AllGather(new MoeGatherArguments
        {
            Input = arguments.Input,
            Output = output,
            Experts = _knowsExperts ? arguments.Experts : default,
            Stream = arguments.Stream,
        });
        for (int row = 0; row < output.Rows; row++)
        {
            Memory.CopyOut(_found.View.RowAddress(row), output.RowAddress(row), output.RowBytes, arguments.Stream);
        }

        Memory.Synchronize(arguments.Stream);
        for (int row = 0; row < output.Rows; row++)
        {
            var found = new ReadOnlySpan<byte>((void*)_found.View.RowAddress(row), (int)output.RowBytes);
            Missing += found.ContainsAnyExcept((byte)0xFF) ? 0 : 1;
        }
    }

    public void ReduceScatter(MoeReduceArguments arguments) => _member.ReduceScatter(new MoeReduceArguments
    {
        Partial = arguments.Partial,
        Output = arguments.Output,
        Experts = _knowsExperts ? arguments.Experts : default,
        Stream = arguments.Stream,
    });

    public void Abort(string why) => _member.Abort(why);

    public void Dispose()
    {
        _nan.Dispose();
        _found.Dispose();
    }
}
