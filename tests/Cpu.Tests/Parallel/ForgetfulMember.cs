namespace Moe.Plugins.Cpu.Tests;

/// <summary>
/// A member whose gatherings begin over NaN, so that a row that does not come is seen; or one of a group that knows nothing of tokens' experts, as those of a
/// contract before it are.
/// </summary>
internal sealed unsafe class ForgetfulMember(IMoeCommunicator member, bool knowsExperts) : IMoeCommunicator
{
    /// <summary>Rows that did not come.</summary>
    public int Missing { get; private set; }

    public int Rank => member.Rank;

    public int Count => member.Count;

    public MoeDevice Device => member.Device;

    public IMoeMemory Memory => member.Memory;

    public MoeException? Failure => member.Failure;

    public MoeGroupRequest Request => member.Request;

    public bool GainsByRouting(int rows, int topK, int tensorCount) => knowsExperts && member.GainsByRouting(rows, topK, tensorCount);

    public MoePartial LendPartial(int rows) => member.LendPartial(rows);

    public void AllReduce(MoeReduceArguments arguments) => member.AllReduce(arguments);

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments) => member.ReduceAddNorm(arguments);

    public void AllGather(MoeGatherArguments arguments)
    {
        for (int row = 0; row < arguments.Output.Rows; row++)
        {
            Row(arguments.Output, row).Fill(0xFF);
        }

        member.AllGather(new MoeGatherArguments
        {
            Input = arguments.Input,
            Output = arguments.Output,
            Experts = knowsExperts ? arguments.Experts : default,
            Stream = arguments.Stream,
        });
        for (int row = 0; row < arguments.Output.Rows; row++)
        {
            Missing += Row(arguments.Output, row).ContainsAnyExcept((byte)0xFF) ? 0 : 1;
        }
    }

    public void ReduceScatter(MoeReduceArguments arguments) => member.ReduceScatter(new MoeReduceArguments
    {
        Partial = arguments.Partial,
        Output = arguments.Output,
        Experts = knowsExperts ? arguments.Experts : default,
        Stream = arguments.Stream,
    });

    public void Abort(string why) => member.Abort(why);

    private static Span<byte> Row(in MoeTensorView view, int row) => new((void*)view.RowAddress(row), (int)view.RowBytes);
}
