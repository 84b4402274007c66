"""Network architectures, one file for each family, and the registry that knows all of them by name."""

from .alexnet import AlexNet, AlexNetOriginal, alexnet, alexnet_original
from .cifar_densenet import CIFARDenseNet, densenet_bc40_12, densenet_bc100_12
from .cifar_resnet import (
    CIFARResNet,
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from .cifar_wide_resnet import WideResNet, wide_resnet16_8, wide_resnet28_10
from .densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from .googlenet import GoogLeNet, GoogLeNetOutputs, Inception, InceptionAux, googlenet
from .googlenet_original import GoogLeNetOriginal, NaiveInception, googlenet_original
from .lenet import LeNet5, lenet5
from .registry import Published, find_weights, get_model, get_model_weights, list_models, register_model
from .resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from .vision_transformer import VisionTransformer, vit_b_16, vit_tiny_cifar

__all__ = [
    # all networks by name
    "Published",
    "find_weights",
    "get_model",
    "get_model_weights",
    "list_models",
    "register_model",
    # LeNet-5
    "LeNet5",
    "lenet5",
    # AlexNet
    "AlexNet",
    "AlexNetOriginal",
    "alexnet",
    "alexnet_original",
    # VGG
    "VGG",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    # GoogLeNet
    "GoogLeNet",
    "GoogLeNetOriginal",
    "GoogLeNetOutputs",
    "Inception",
    "InceptionAux",
    "NaiveInception",
    "googlenet",
    "googlenet_original",
    # ResNet, Wide ResNet and ResNeXt
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    # DenseNet
    "DenseNet",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    # Vision Transformer
    "VisionTransformer",
    "vit_b_16",
    "vit_tiny_cifar",
    # for small images
    "CIFARDenseNet",
    "densenet_bc40_12",
    "densenet_bc100_12",
    "CIFARResNet",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "WideResNet",
    "wide_resnet16_8",
    "wide_resnet28_10",
]
