namespace Moe.Plugins;

/// <summary>
/// A call of a rank, as far as all ranks must make the same: two that differ are no call of one group. For who implements a communicator:
/// it is made from a call's arguments, and checks them first.
/// </summary>
public readonly record struct MoeGroupCall
{
    private MoeGroupCall(MoeGroupCallKind kind, int rows, int columns, MoeElementType elementType)
    {
        Kind = kind;
        Rows = rows;
        Columns = columns;
        ElementType = elementType;
    }

    /// <summary>What is done.</summary>
    public MoeGroupCallKind Kind { get; }

    /// <summary>Rows that each rank brings.</summary>
    public int Rows { get; }

    /// <summary>Their columns.</summary>
    public int Columns { get; }

    /// <summary>Their type.</summary>
    public MoeElementType ElementType { get; }

    /// <summary>Whether a residual is added.</summary>
    public bool HasResidual { get; private init; }

    /// <summary>Whether the sum is normed.</summary>
    public bool HasNorm { get; private init; }

    /// <summary>The norm's; 0 where there is none.</summary>
    public float Epsilon { get; private init; }

    /// <summary>Choices of each token where rows may be left out (<see cref="MoeTokenExperts"/>); 0 where all go everywhere.</summary>
    public int TopK { get; private init; }

    /// <summary><see cref="MoeTokenExperts.ExpertCount"/>; 0 where all rows go everywhere.</summary>
    public int ExpertCount { get; private init; }

    /// <summary><see cref="MoeTokenExperts.TensorCount"/>; 0 where all rows go everywhere.</summary>
    public int TensorCount { get; private init; }

    /// <summary>Checks a call of <see cref="IMoeCommunicator.AllReduce"/>.</summary>
    /// <exception cref="ArgumentException">
    /// A tensor has another size, type or device than the group, lies in memory that is lent, or is written and overlaps another in part.
    /// </exception>
    public static MoeGroupCall AllReduce(IMoeCommunicator member, MoePartialBuffer lent, in MoeReduceArguments arguments)
    {
        CheckPartial(member, lent, arguments.Partial);
        Check(member, lent, arguments.Output, nameof(arguments.Output), arguments.Partial.Rows);
        return OfSum(MoeGroupCallKind.AllReduce, member, arguments.Partial.Rows);
    }

    /// <summary>Checks a call of <see cref="IMoeCommunicator.ReduceScatter"/>.</summary>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    public static MoeGroupCall ReduceScatter(IMoeCommunicator member, MoePartialBuffer lent, in MoeReduceArguments arguments)
    {
        CheckPartial(member, lent, arguments.Partial);
        int rows = arguments.Partial.Rows;
        if (rows % member.Count != 0)
        {
            throw new ArgumentException($"{rows} rows cannot be shared out evenly among {member.Count} ranks.", nameof(arguments));
        }

        Check(member, lent, arguments.Output, nameof(arguments.Output), rows / member.Count);
        CheckExperts(member, lent, arguments.Experts, rows, arguments.Output);
        return OfSum(MoeGroupCallKind.ReduceScatter, member, rows).With(arguments.Experts);
    }

    /// <summary>Checks a call of <see cref="IMoeCommunicator.ReduceAddNorm"/>.</summary>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    public static MoeGroupCall ReduceAddNorm(IMoeCommunicator member, MoePartialBuffer lent, in MoeReduceAddNormArguments arguments)
    {
        CheckPartial(member, lent, arguments.Partial);
        int rows = arguments.Partial.Rows;
        MoeAddNorm addNorm = arguments.AddNorm;
        Check(member, lent, arguments.Output, nameof(arguments.Output), rows);
        CheckOptional(member, lent, addNorm.Residual, nameof(addNorm.Residual), rows);
        CheckOptional(member, lent, addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), rows);
        TensorsApart.Require(arguments.Output, nameof(arguments.Output), addNorm.Residual, nameof(addNorm.Residual));
        TensorsApart.Require(arguments.Output, nameof(arguments.Output), addNorm.ResidualOutput, nameof(addNorm.ResidualOutput));
        TensorsApart.Require(arguments.Output, nameof(arguments.Output), addNorm.NormWeight, nameof(addNorm.NormWeight));
        TensorsApart.Require(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), addNorm.Residual, nameof(addNorm.Residual));
        TensorsApart.Require(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), addNorm.NormWeight, nameof(addNorm.NormWeight));
        bool hasNorm = !addNorm.NormWeight.IsEmpty;
        if (hasNorm)
        {
            bool isFloat32 = addNorm.NormWeight.ElementType == MoeElementType.Float32;
            MoeElementType type = isFloat32 ? MoeElementType.Float32 : MoeElementType.BFloat16;
            Check(member, lent, addNorm.NormWeight, nameof(addNorm.NormWeight), 1, member.Request.Width, type);
        }

        return OfSum(MoeGroupCallKind.ReduceAddNorm, member, rows) with
        {
            HasResidual = !addNorm.Residual.IsEmpty,
            HasNorm = hasNorm,
            Epsilon = hasNorm ? addNorm.Epsilon : 0,
        };
    }

    /// <summary>Checks a call of <see cref="IMoeCommunicator.AllGather"/>.</summary>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    public static MoeGroupCall AllGather(IMoeCommunicator member, MoePartialBuffer lent, in MoeGatherArguments arguments)
    {
        ArgumentNullException.ThrowIfNull(member);
        ArgumentNullException.ThrowIfNull(lent);
        MoeTensorView input = arguments.Input;
        long most = (long)member.Request.Width * member.Request.ElementType.ByteSize();
        if (input.Rows > member.Request.MaxTokens || input.RowBytes > most)
        {
            throw new ArgumentException(
                $"The input has {input.Rows} rows of {input.RowBytes} bytes; the group was made for at most {member.Request.MaxTokens} of {most}.", nameof(arguments));
        }

        Check(member, lent, input, nameof(arguments.Input), input.Rows, input.Columns, input.ElementType);
        Check(member, lent, arguments.Output, nameof(arguments.Output), checked(member.Count * input.Rows), input.Columns, input.ElementType);
        TensorsApart.Require(arguments.Output, nameof(arguments.Output), input, nameof(arguments.Input));
        CheckExperts(member, lent, arguments.Experts, member.Count * input.Rows, arguments.Output);
        return new MoeGroupCall(MoeGroupCallKind.AllGather, input.Rows, input.Columns, input.ElementType).With(arguments.Experts);
    }

    /// <summary>For people.</summary>
    public override string ToString()
    {
        string options = Kind == MoeGroupCallKind.ReduceAddNorm
            ? $" {(HasResidual ? "with" : "without")} a residual, {(HasNorm ? $"epsilon {Epsilon:g6}" : "without a norm")}"
            : "";
        string experts = TopK == 0 ? "" : $" to {TopK} of {ExpertCount} experts, {TensorCount} ranks each";
        return $"{Kind} of [{Rows}, {Columns}] {ElementType}{options}{experts}";
    }

    private static MoeGroupCall OfSum(MoeGroupCallKind kind, IMoeCommunicator member, int rows) =>
        new(kind, rows, member.Request.Width, member.Request.ElementType);

    private MoeGroupCall With(in MoeTokenExperts experts) => experts.IsEmpty
        ? this
        : this with { TopK = experts.Ids.Columns, ExpertCount = experts.ExpertCount, TensorCount = experts.TensorCount };

    private static void CheckExperts(IMoeCommunicator member, MoePartialBuffer lent, in MoeTokenExperts experts, int tokens, in MoeTensorView output)
    {
        if (experts.IsEmpty)
        {
            return;
        }

        if (experts.ExpertCount < 1 || experts.TensorCount < 1 || member.Count % experts.TensorCount != 0)
        {
            throw new ArgumentException(
                $"{experts.ExpertCount} experts, each shared by {experts.TensorCount} ranks, cannot be those of {member.Count} ranks.", nameof(experts));
        }

        Check(member, lent, experts.Ids, nameof(experts.Ids), tokens, experts.Ids.Columns, MoeElementType.Int32);
        TensorsApart.Require(output, "Output", experts.Ids, nameof(experts.Ids));
    }

    private static void CheckPartial(IMoeCommunicator member, MoePartialBuffer lent, in MoePartial partial)
    {
        ArgumentNullException.ThrowIfNull(member);
        ArgumentNullException.ThrowIfNull(lent);
        if (!partial.IsIn(lent))
        {
            throw new ArgumentException($"The part was not lent by rank {member.Rank} of this group.", nameof(partial));
        }
    }

    private static void CheckOptional(IMoeCommunicator member, MoePartialBuffer lent, in MoeTensorView view, string name, int rows)
    {
        if (!view.IsEmpty)
        {
            Check(member, lent, view, name, rows);
        }
    }

    private static void Check(IMoeCommunicator member, MoePartialBuffer lent, in MoeTensorView view, string name, int rows) =>
        Check(member, lent, view, name, rows, member.Request.Width, member.Request.ElementType);

    private static void Check(IMoeCommunicator member, MoePartialBuffer lent, in MoeTensorView view, string name, int rows, int columns, MoeElementType type)
    {
        // A view of no rows has nothing in it that could be wrong, not even an address.
        if (rows == 0 && view.Rows == 0)
        {
            return;
        }

        if (view.Planes != 1 || view.Rows != rows || view.Columns != columns || view.ElementType != type)
        {
            throw new ArgumentException(
                $"{name} is [{view.Planes}, {view.Rows}, {view.Columns}] {view.ElementType}; [1, {rows}, {columns}] {type} is expected.");
        }

        if (view.Device != member.Device)
        {
            throw new ArgumentException($"{name} is on {view.Device}; rank {member.Rank} is on {member.Device}.");
        }

        if (lent.Holds(view))
        {
            throw new ArgumentException($"{name} is in the memory that rank {member.Rank} was lent, which the other ranks read.");
        }
    }
}
