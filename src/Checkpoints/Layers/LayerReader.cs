namespace Moe.Plugins.Checkpoints;

/// <summary>Reads one layer: finds its tensors by the family's names and makes of them and the config what the contract takes.</summary>
internal sealed class LayerReader
{
    private static readonly string[] ExpertCountKeys =
        ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts"];

    private static readonly string[] TopKKeys =
        ["num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_k", "moe_top_k", "moe_topk"];

    private readonly MoeFamily _family;
    private readonly LayerFinder.Found _found;
    private readonly LayerTensors _tensors;
    private readonly LayerConfig _config;
    private readonly MatrixReader _matrices;
    private readonly QuantizationConfig? _quantization;

    private LayerReader(MoeFamily family, LayerFinder.Found found, CheckpointTensors tensors, ModelStatements model)
    {
        _family = family;
        _found = found;
        _quantization = model.Quantization;
        _tensors = new LayerTensors(tensors, found.Name, family.Name, found.Tensors);
        _config = new LayerConfig(model.Config, model.Options, found.Name, found.Index, tensor => _tensors.Has(Name(tensor)));
        _matrices = new MatrixReader(tensors, _tensors, model.Quantization?.ScaleBlock);
    }

    /// <summary>Reads a layer.</summary>
    /// <exception cref="MoeException">A tensor is missing, or contradicts the others or what the model says.</exception>
    public static CheckpointLayer Read(MoeFamily family, LayerFinder.Found found, CheckpointTensors tensors, ModelStatements model) =>
        new LayerReader(family, found, tensors, model).Read();

    private CheckpointLayer Read()
    {
        if (_family.IsDense?.Invoke(_config) == true)
        {
            throw _tensors.Error($"it has experts by its tensors ('{PlainText.Of(_found.Tensors[0])}'), and the config says that layer {_found.Index} has none");
        }

        int topK = _config.Whole(1, TopKKeys) ?? _config.Options.TopK ?? throw _config.Missing("num_experts_per_tok (top-k)");
        MoeActivation activation = _family.Activation(_config);
        (MoeStoredTensor weight, int experts, int hidden) = ReadRouterWeight();
        MoeLatentWeights? latent = ReadLatent(hidden, out MoeLatentExperts? latentShape);
        Products products = ReadExperts(activation, experts, latentShape?.Width ?? hidden);
        (MoeSharedExperts? shared, MoeSharedWeights? sharedWeights) = ReadShared(hidden);
        CheckSizes(experts, hidden, products);

        MoeRouter router = _family.Router(_config);
        MoeStoredTensor? routerBias = FirstNumbers(_family.RouterBiases, experts);
        MoeStoredTensor? selectionBias = router.HasSelectionBias ? FirstNumbers(_family.SelectionBiases, experts) : null;
        if (router.HasSelectionBias && selectionBias is null)
        {
            throw _tensors.Error($"tensor {string.Join(" or ", _family.SelectionBiases)} is missing, the router's selection bias");
        }

        bool callerRoutes = _family.CallerRoutes is not null;
        var shape = new MoeLayerShape
        {
            HiddenSize = hidden,
            IntermediateSize = products.Intermediate,
            ExpertCount = experts,
            TopK = topK,
            WeightFormat = products.Format,
            Activation = activation,
            Router = callerRoutes ? MoeRouter.SoftmaxThenTopK : router with { HasLogitBias = routerBias is not null },
            HasExpertBias = products.HasBias,
            Shared = shared,
            Latent = latentShape,
        };
        var source = new MoeWeightSource
        {
            RouterWeight = callerRoutes ? null : weight,
            RouterBias = routerBias,
            SelectionBias = selectionBias,
            TokenTable = ReadTokenTable(router, topK),
            GateUp = products.GateUp,
            Down = products.Down,
            Shared = sharedWeights,
            Latent = latent,
        };
        Validate(shape, source);
        RefuseUnread();
        return new CheckpointLayer
        {
            Name = _found.Name,
            Index = _found.Index,
            Family = _family.Name,
            CallerRoutes = _family.CallerRoutes,
            Shape = shape,
            Source = source,
            ByteCount = _tensors.ByteCount,
        };
    }

    private (MoeStoredTensor Weight, int Experts, int Hidden) ReadRouterWeight()
    {
        foreach (string name in _family.RouterWeights)
        {
            if (_tensors.Find(Name(name)) is SafetensorsTensor found)
            {
                bool isMatrix = found.Shape is [> 0 and <= int.MaxValue, > 0 and <= int.MaxValue];
                return isMatrix && _tensors.Numbers(Name(name), (int)found.Shape[0], (int)found.Shape[1]) is MoeStoredTensor weight
                    ? (weight, weight.Rows, weight.Columns)
                    : throw _tensors.Error($"{name} is {found}; BF16, F16 or F32 [experts, hidden size] is expected");
            }
        }

        throw Missing(string.Join(" or ", _family.RouterWeights));
    }

    private Products ReadExperts(MoeActivation activation, int experts, int inputs)
    {
        var places = _family.Containers.Select(container => $"{container}.")
            .Concat(_family.BareExperts.Length == 0 ? [] : [""])
            .SelectMany(start => ((string Start, int Experts)[])[(start, 0), (start, experts)])
            .Where(place => place is not ("", > 0));
        foreach ((string start, int count) in places)
        {
            var source = new ProductSource(_matrices, _tensors, Name(start), count, activation.IsGated);
            Products? products = Products.Read(source, activation.IsGated, _family.FusedRows, _family.FusedOrder, inputs);
            if (products is null)
            {
                continue;
            }

            CheckFormat(products, isRouted: true);
            return products.Experts == experts && products.Inputs == inputs
                ? products
                : throw _tensors.Error(
                    $"its router ({string.Join(" or ", _family.RouterWeights)}) has {experts} experts, which read {inputs} values; by the tensors of the experts these are {products.Experts} and {products.Inputs}");
        }

        string first = _found.Tensors.First(name => _family.Containers.Concat(_family.BareExperts).Any(part => name.StartsWith(Name(part), StringComparison.Ordinal)));
        throw _tensors.Error(
            $"its experts are stored in a way that is not read, as '{PlainText.Of(first)}' is"
            + (_quantization?.Method is { Length: > 0 } method ? $" ({PlainText.Of(method, 60)})" : "")
            + "; MXFP4, NVFP4, FP8 with scales, BF16, F16 and F32 are read, each under the names that docs/checkpoints.md lists");
    }

    private (MoeSharedExperts? Shape, MoeSharedWeights? Weights) ReadShared(int hidden)
    {
        MoeActivation activation = (_family.SharedActivation ?? _family.Activation)(_config);
        foreach (string module in _family.Shared)
        {
            string start = module.StartsWith("../", StringComparison.Ordinal)
                ? $"{_found.Name[..(_found.Name.LastIndexOf('.') + 1)]}{module[3..]}." : Name(module + ".");
            var source = new ProductSource(_matrices, _tensors, start, 0, activation.IsGated);
            if (Products.Read(source, activation.IsGated, MoeRowOrder.GateThenUp, MoeMatrixOrder.OutputMajor, hidden) is not Products products)
            {
                continue;
            }

            CheckFormat(products, isRouted: false);
            MoeStoredTensor? gate = _family.SharedGate.Length == 0 ? null : _tensors.Numbers(Name(_family.SharedGate), 1, hidden);
            if (_config.Whole(0, _family.SharedKeys[0]) == 0)
            {
                throw _tensors.Error($"it has shared experts by its tensors, and {_family.SharedKeys[0]} is 0");
            }

            if (_family.SharedGate.Length > 0 && gate is null)
            {
                throw Missing(_family.SharedGate);
            }

            var shape = new MoeSharedExperts
            {
                IntermediateSize = products.Intermediate,
                WeightFormat = products.Format,
                Activation = activation,
                HasGate = gate is not null,
            };
            return (shape, new MoeSharedWeights { GateUp = products.GateUp, Down = products.Down, Gate = gate });
        }

        // An absent module is no shared experts only where nobody says that there are some.
        string? stated = _family.Shared.Length == 0 ? null : Array.Find(_family.SharedKeys, key => _config.Whole(0, key) > 0);
        return stated is null ? (null, null) : throw Missing($"{_family.Shared[0]} (of the shared experts, which {stated} says there are)");
    }

    private MoeLatentWeights? ReadLatent(int hidden, out MoeLatentExperts? shape)
    {
        shape = null;
        if (_family.Latent is not { } names)
        {
            return null;
        }

        int? stated = _config.Whole(1, names.WidthKeys);
        if (!_matrices.Has(Name(names.Down)))
        {
            return stated is null ? null : throw Missing(names.Down);
        }

        StoredMatrix down = _matrices.Read(Name(names.Down));
        StoredMatrix up = _matrices.Read(Name(names.Up));
        int width = down.Rows;
        MoeStoredTensor? norm = names.Norm is null ? null : _tensors.Numbers(Name(names.Norm), 1, width);
        _config.Check("the latent width", width, names.WidthKeys);
        if (down.Columns != hidden || up.Rows != hidden || up.Columns != width || up.Format != down.Format)
        {
            throw _tensors.Error($"{names.Down} is {down} and {names.Up} is {up}; [{width}, {hidden}] and [{hidden}, {width}] of one format are expected");
        }

        if (_config.Flag("latent_moe_use_norm") is bool usesNorm && names.Norm is not null && usesNorm != norm is not null)
        {
            throw _tensors.Error($"latent_moe_use_norm is {usesNorm}, and {names.Norm} is {(norm is null ? "missing" : "there")}");
        }

        shape = new MoeLatentExperts
        {
            Width = width,
            WeightFormat = down.Format,
            NormEpsilon = norm is null ? null : _config.Factor("rms_norm_eps") ?? throw _config.Missing("rms_norm_eps"),
        };
        return new MoeLatentWeights { Down = down.ToMatrix(), Up = up.ToMatrix(), Norm = norm };
    }

    private MoeStoredTensor? ReadTokenTable(MoeRouter router, int topK)
    {
        if (router.Choice != MoeRouterChoice.TokenTable)
        {
            return null;
        }

        SafetensorsTensor found = _tensors.Find(Name(_family.TokenTable)) ?? throw Missing(_family.TokenTable);
        return found.Type is SafetensorsType.I64 or SafetensorsType.I32 && found.Shape is [> 0, var columns] && columns == topK
            ? _tensors.Read(found)
            : throw _tensors.Error($"{_family.TokenTable} is {found}; I64 or I32 [vocabulary, {topK}] is expected");
    }

    private MoeStoredTensor? FirstNumbers(string[] names, int experts)
    {
        // ERNIE's has two dimensions, of which the first is 1.
        string? name = Array.Find(names, name => _tensors.Has(Name(name)));
        return name is null ? null : _tensors.Numbers(Name(name), 1, experts);
    }

    private void CheckSizes(int experts, int hidden, Products products)
    {
        _config.Check("experts", experts, ExpertCountKeys);
        _config.Check("hidden size", hidden, "hidden_size");
        _config.Check("intermediate size", products.Intermediate, _family.WidthKeys);
    }

    private void CheckFormat(Products products, bool isRouted)
    {
        foreach (string module in products.Modules)
        {
            if (_quantization?.Fault(module, products.Format, isRouted) is string fault)
            {
                throw _tensors.Error(fault);
            }
        }
    }

    private void Validate(MoeLayerShape shape, MoeWeightSource source)
    {
        try
        {
            source.Validate(shape);
        }
        catch (MoeException exception)
        {
            throw _tensors.Error(exception.Message.TrimEnd('.'));
        }
    }

    // A tensor that this family is not known to have may be one that its output depends on.
    private void RefuseUnread()
    {
        IReadOnlyList<string> unread = _tensors.Unread(name => _family.Ignored.Contains(name));
        if (unread.Count > 0)
        {
            throw _tensors.Error(
                $"{unread.Count} of its tensors are none that such a layer is known to have, '{PlainText.Of(unread[0])}' is the first");
        }
    }

    private string Name(string tensor) => $"{_found.Name}.{tensor}";

    private MoeException Missing(string tensor) =>
        _tensors.Error($"tensor {tensor} is missing (of a model in several files, open the folder with {ShardIndex.FileName})");
}

/// <summary>What is said about a model beside its tensors.</summary>
/// <param name="Config">By itself.</param>
/// <param name="Quantization">By itself, about its formats; null where nothing is.</param>
/// <param name="Options">By the caller.</param>
internal sealed record ModelStatements(ModelConfig Config, QuantizationConfig? Quantization, CheckpointOptions Options);
